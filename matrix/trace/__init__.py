"""The processes of a traced step: what each was for, what it made, how long it took. Pure."""
