"""Issuers of tokens and providers of logins: their keys, tokens and the way there and back."""
