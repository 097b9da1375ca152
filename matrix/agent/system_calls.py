"""A filter of system calls (seccomp(2)) on each command: no namespaces, mounts or keys, and no process out of sight.

The engine has a filter, too, but Podman's lets through what Docker's refuses. In a user namespace of its own a command
would have capabilities again, and keys (keyrings(7)) are shared between the cells of one user. Standard library only,
Python 3.6 syntax.
"""

import ctypes
import errno
import os
import struct
from typing import List, Tuple

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38  # linux/prctl.h
SECCOMP_MODE_FILTER = 2
CLONE_UNTRACED = 0x00800000  # linux/sched.h: the child is not traced even where its parent is
CLONE_NEW_NAMESPACES = 0x7E020000  # linux/sched.h: CLONE_NEW*; only clone3 and unshare take CLONE_NEWTIME
CLONE3 = 435
# open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr
MOUNTS = (428, 429, 430, 431, 432, 433, 442)
# The numbers of clone, and of unshare, setns, mount, umount2, pivot_root, add_key, request_key, keyctl, by architecture
# (AUDIT_ARCH_* of linux/audit.h), from the syscall.tbl of each in the kernel's sources. The newer ones above are the
# same everywhere. All of them are little-endian, and have the flags of clone as its first argument.
NUMBERS = (
    (0xC000003E, 56, (272, 308, 165, 166, 155, 248, 249, 250)),  # x86_64
    (0x40000003, 120, (310, 346, 21, 52, 217, 286, 287, 288)),  # i386
    (0xC00000B7, 220, (97, 268, 40, 39, 41, 217, 218, 219)),  # aarch64
    (0x40000028, 120, (337, 375, 21, 52, 218, 309, 310, 311)),  # arm
    (0xC0000015, 120, (282, 350, 21, 52, 203, 269, 270, 271)),  # powerpc64le
    (0xC00000F3, 220, (97, 268, 40, 39, 41, 217, 218, 219)),  # riscv64
)
X32_BIT = 0x40000000  # of the numbers of x86_64's programs with short pointers

LOAD, AND, JUMP_EQUAL, JUMP_SET, RETURN = 0x20, 0x54, 0x15, 0x45, 0x06  # linux/bpf_common.h: BPF_LD|W|ABS, BPF_ALU|…
NUMBER_OFFSET, ARCHITECTURE_OFFSET, ARGUMENTS_OFFSET = 0, 4, 16  # struct seccomp_data
ALLOW, ERROR = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]


def confine(traced: int) -> None:
    """Let the system calls above fail in this process and all that it starts.

    Where there is tracing, so does clone(2) with CLONE_UNTRACED, for the tracer would not see the child. clone3(2) has
    its flags in memory, where a filter cannot look: it fails as on a kernel without it, and libc uses clone instead. An
    emulated architecture (qemu-user) takes no filter, and traces nothing either.
    """
    program = _filter(CLONE_NEW_NAMESPACES | (CLONE_UNTRACED if traced else 0))
    code = ctypes.create_string_buffer(b"".join(program))
    descriptor = ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(code)))
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    result = _libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(descriptor), 0, 0)
    is_emulated = result == -1 and ctypes.get_errno() == errno.EINVAL
    if not is_emulated:
        _check(result)


def _check(result: int) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, "seccomp: %s" % os.strerror(number))


def _filter(clone_flags: int) -> List[bytes]:
    """Return the instructions of the filter, each a struct sock_filter of linux/filter.h."""
    program = _number_of_a_call()
    program += [_instruction(JUMP_EQUAL, CLONE3, 0, 1), _instruction(RETURN, ERROR | errno.ENOSYS)]
    program += _refusal(MOUNTS)
    for architecture, clone, numbers in NUMBERS:
        block = _number_of_a_call() + _refusal(numbers)
        block += [
            _instruction(JUMP_EQUAL, clone, 0, 3),
            _instruction(LOAD, ARGUMENTS_OFFSET),
            _instruction(JUMP_SET, clone_flags, 0, 1),
            _instruction(RETURN, ERROR | errno.EPERM),
        ]
        program += [
            _instruction(LOAD, ARCHITECTURE_OFFSET),
            _instruction(JUMP_EQUAL, architecture, 0, len(block)),
            *block,
        ]
    return [*program, _instruction(RETURN, ALLOW)]


def _number_of_a_call() -> List[bytes]:
    # No other architecture has numbers with the bit of x32.
    return [_instruction(LOAD, NUMBER_OFFSET), _instruction(AND, ~X32_BIT & 0xFFFFFFFF)]


def _refusal(numbers: Tuple[int, ...]) -> List[bytes]:
    each = ([_instruction(JUMP_EQUAL, number, 0, 1), _instruction(RETURN, ERROR | errno.EPERM)] for number in numbers)
    return [instruction for pair in each for instruction in pair]


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
