"""How far an exchange is; plain integers, looked at for every piece."""

GATHERING, WAITING, QUEUED, HELD, SENT, ANSWERING, SWITCHING, OVER = range(8)
