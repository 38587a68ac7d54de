"""Floor 6: the command `reserva`, one file a command, each imported only when it is used."""
