"""The email worker: mails authors whose posts are published, and payers whose payments are done."""
