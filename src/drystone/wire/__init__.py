"""HTTP over unix sockets and TCP: serving and calling."""
