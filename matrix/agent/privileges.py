"""Two users: the agent's, and that of the commands, which so cannot signal, trace, limit or read the agent.

The engine starts the agent as root with five capabilities, no others and no new ones (no_new_privs). The agent gives up
that user at once and keeps the capabilities; each command begins with none, and with an empty bounding set. See
capabilities(7), credentials(7), prctl(2), seccomp(2). Standard library only, Python 3.6 syntax.
"""

import ctypes
import errno
import os
import struct
from typing import List

PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 4, 8, 22, 24, 38  # prctl.h
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
MAX_CAPABILITIES = 64
CLONE_UNTRACED = 0x00800000  # linux/sched.h: the child is not traced even where its parent is
CLONE3 = 435
CLONES = (
    (0xC000003E, 56),
    (0xC000003E, 0x40000038),
    (0x40000003, 120),
    (0xC00000B7, 220),
    (0x40000028, 120),
    (0xC0000015, 120),
    (0xC00000F3, 220),
)
"""The number of clone(2) by architecture (AUDIT_ARCH_* of linux/audit.h).

x86_64, its x32 programs and its i386 programs, aarch64 and its arm programs, powerpc64le, riscv64. All of them are
little-endian and have the flags as first argument.
"""

LOAD, JUMP_EQUAL, JUMP_SET, RETURN = 0x20, 0x15, 0x45, 0x06  # linux/bpf_common.h: BPF_LD|W|ABS, BPF_JMP|…, BPF_RET
NUMBER_OFFSET, ARCHITECTURE_OFFSET, ARGUMENTS_OFFSET = 0, 4, 16  # struct seccomp_data
ALLOW, ERROR = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO

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


def refuse_untraced_clones() -> None:
    """Let clone(2) with CLONE_UNTRACED fail in this process and all that it starts, for the tracer would not see them.

    clone3(2) has its flags in memory, where a filter cannot look: it fails as on a kernel without it, and libc uses
    clone instead. An emulated architecture (qemu-user) takes no filter, and traces nothing either.
    """
    program = _clone_filter()
    code = ctypes.create_string_buffer(b"".join(program))
    descriptor = ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(code)))
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    result = _libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(descriptor), 0, 0)
    is_emulated = result == -1 and ctypes.get_errno() == errno.EINVAL
    if not is_emulated:
        _check(result, "seccomp")


def _clone_filter() -> List[bytes]:
    """Return the instructions of the filter, each a struct sock_filter of linux/filter.h."""
    program = [
        _instruction(LOAD, NUMBER_OFFSET),
        _instruction(JUMP_EQUAL, CLONE3, 0, 1),
        _instruction(RETURN, ERROR | errno.ENOSYS),
    ]
    for architecture, number in CLONES:
        program += [
            _instruction(LOAD, ARCHITECTURE_OFFSET),
            _instruction(JUMP_EQUAL, architecture, 0, 5),
            _instruction(LOAD, NUMBER_OFFSET),
            _instruction(JUMP_EQUAL, number, 0, 3),
            _instruction(LOAD, ARGUMENTS_OFFSET),
            _instruction(JUMP_SET, CLONE_UNTRACED, 0, 1),
            _instruction(RETURN, ERROR | errno.EPERM),
        ]
    return [*program, _instruction(RETURN, ALLOW)]


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
