"""What runs inside a guest: its first process, the agent, the disks' server, the warm interpreter.

Standard library only, and little of it: an import costs ten times more in there than on the host.
"""
