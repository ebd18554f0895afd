"""The control API, which shows and changes the world: JSON over HTTP, on loopback only.

- `GET /health`, `GET /world`, `GET /ledger?since=SEQ`
- `POST /users`, `POST /chats`, `POST /say` (people send messages): each takes an object or a list
- `POST /album` (pictures sent as one), `POST /describe` (a user is a Bot API bot, a scam, a fake, or deleted)
- `POST /edit`, `POST /delete`, `POST /react`: changes of the message with the ledger entry `seq`
- `POST /join`, `POST /approve` (a request to join), `POST /leave`, `POST /block`
- `POST /upgrade` (a basic group becomes a supergroup), `POST /topics` (a new topic of a forum)
- `POST /rename`, `POST /hand_over`, `POST /collect`: usernames
- `POST /scan` (a user scans a QR code to log in)
- `GET /faults`, `POST /faults`, `DELETE /faults`
- `POST /reset`

Users and peers are given by id (marked for chats) or `@username`. An invalid request is answered with 400 and
`{"error": …}`.
"""
