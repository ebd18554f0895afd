"""What a login needs: codes, passwords, QR tokens."""
