"""`python -m vault` prints a new key for FIELD_ENCRYPTION_KEYS. It needs no settings: it comes before them."""

import sys

from cryptography.fernet import Fernet

if __name__ == "__main__":
    sys.stdout.write(f"{Fernet.generate_key().decode('ascii')}\n")
