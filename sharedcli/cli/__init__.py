"""The command line: Typer commands, one per file; only ``render*.py`` draws with Rich.

    run.py       process: exit codes, Ctrl-C, closed pipes, errors
    app.py       which commands there are
    flags.py     options that several commands share
    session.py   what a command holds: settings, engine, terminal, JSON output
    <verb>.py    one command each
    wording.py   numbers, sizes and places as words
    payloads.py  the JSON schemas

stdout carries data, stderr everything else. Nothing here imports torch.
"""
