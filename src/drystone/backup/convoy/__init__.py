"""Stores that Convoy's daemon wrote: recognised, listed, checked and restored. They are never written to.

    convoy-objectstore/volumes/<2>/<2>/<volume>/volume.cfg                          JSON
    convoy-objectstore/volumes/<2>/<2>/<volume>/backups/backup_<backup>.cfg         JSON: the whole map of an image
    convoy-objectstore/volumes/<2>/<2>/<volume>/blocks/<2>/<2>/<sum>.blk            gzip of exactly 2 MiB

A sum is the first 64 hex digits of the SHA-512 of the plain bytes.
"""
