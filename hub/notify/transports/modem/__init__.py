"""SMS through a GSM modem: the encoding of texts (pure), and the driver."""
