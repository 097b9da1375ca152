"""Two users: the agent's, and that of the commands, which so cannot signal, trace, limit or read the agent.

The engine starts the agent as root with five capabilities, no others and no new ones (no_new_privs). The agent gives up
that user at once and keeps the capabilities; each command begins with none, and with an empty bounding set. See
capabilities(7), credentials(7), prctl(2). Standard library only, Python 3.6 syntax.
"""

import ctypes
import os
import struct

PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_CAPBSET_DROP = 4, 8, 24  # linux/prctl.h
CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
MAX_CAPABILITIES = 64

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]


def _check(result: int, name: str) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, "%s: %s" % (name, os.strerror(number)))


def _prctl(option: int, argument: int) -> None:
    _check(_libc.prctl(option, argument, 0, 0, 0), "prctl")


def dumpable(yes: int) -> None:
    """Let others of this user look into this process, or not; a child that has yet to exec is as its parent was.

    Where agent and commands have one user, as in tests, this alone keeps the commands from the agent while they run.
    """
    _prctl(PR_SET_DUMPABLE, yes)


def become_agent(agent: int, commands: int) -> None:
    """Give up root for the user `agent` with the capabilities that root has here; use files as the user `commands`."""
    os.setgroups([])
    os.setresgid(agent, agent, agent)
    _prctl(PR_SET_KEEPCAPS, 1)
    os.setresuid(agent, agent, agent)
    permitted = _permitted()
    _set_capabilities(permitted, permitted)
    use_files_as(commands)


def use_files_as(user: int) -> None:
    """Let this thread open, make and look up files as a user (setfsuid(2)), who gains no hold on this process by it."""
    _libc.setfsgid(user)
    _libc.setfsuid(user)


def become_command(user: int) -> None:
    """Become a user without any capability, nor any to be gained; the caller is the agent's child before its exec."""
    for capability in range(MAX_CAPABILITIES):
        if _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == -1:
            break  # the kernel knows no more
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    _set_capabilities(0, 0)


def become_nobody(user: int) -> None:
    """Become a user without groups; the caller is root and execs nothing."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _permitted() -> int:
    header = ctypes.create_string_buffer(struct.pack("Ii", CAPABILITY_VERSION_3, 0))
    data = ctypes.create_string_buffer(struct.calcsize("6I"))
    _check(_libc.capget(header, data), "capget")
    words = struct.unpack("6I", data.raw)
    return int(words[1] | words[4] << 32)


def _set_capabilities(effective: int, permitted: int) -> None:
    header = ctypes.create_string_buffer(struct.pack("Ii", CAPABILITY_VERSION_3, 0))
    low, high = 0xFFFFFFFF, 32
    words = (effective & low, permitted & low, 0, effective >> high, permitted >> high, 0)
    _check(_libc.capset(header, ctypes.create_string_buffer(struct.pack("6I", *words))), "capset")
