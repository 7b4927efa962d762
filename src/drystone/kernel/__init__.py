"""The boundary to the kernel: the only room that makes system calls or runs programs."""
