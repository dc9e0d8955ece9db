"""What the index knows of a message before it is stored, found out by the loop or by a second process.

`found` is what there is to find. `scanner` runs the process (`__main__`), `link` is the socket to it, `ring` the memory
that both see, `ahead` what one command has handed over. It imports nothing of the store: the process is small.
"""
