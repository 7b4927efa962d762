"""A guest as its supervisor sees it: what its console has to say."""

from __future__ import annotations

from drystone.lab.node import last_words

CONSOLE = """SELinux: CONFIG_SECURITY_SELINUX_CHECKREQPROT_VALUE is non-zero.
mmapper_init - find_iomem failed
Failed to initialize ubd device 0 :Couldn't determine size of device's file

OSError: [Errno 2] No such file or directory
Pid: 9648, comm: mdX_resync Not tainted 6.1.176
RIP: 0033:md_do_sync+0x8b6/0xea8 [md_mod]
RAX: 0000000000000000 RBX: 0000000000000000 RCX: 0000000000000000
Kernel panic - not syncing: Attempted to kill init!
 [<606931e5>] panic+0x197/0x376
"""


def test_the_lines_of_every_boot_and_the_trace_of_a_panic_say_nothing() -> None:
    assert last_words(CONSOLE.splitlines()) == [
        "OSError: [Errno 2] No such file or directory",
        "Pid: 9648, comm: mdX_resync Not tainted 6.1.176",
        "RIP: 0033:md_do_sync+0x8b6/0xea8 [md_mod]",
    ]
    assert last_words([]) == []
