"""Writers, cut-overs and sudden deaths at random; then every answer is checked against every row.

`history` says what is recorded, `checker` judges it, `nemesis` decides what dies when; `site`,
`servers`, `service`, `clients`, `bypass` and `mover` are what runs; `conductor` runs it.
"""
