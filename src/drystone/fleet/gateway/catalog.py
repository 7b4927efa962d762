"""Buckets and keys as the S3 gateway needs them; the storage server answers from its map and asks the mapper to change.

Settings of a bucket (`Bucket.settings`) are texts by name; drystone.fleet.s3.settings says which there are.
"""

from __future__ import annotations

from typing import Protocol

from drystone.fleet.documents import Bucket, Key


class Catalog(Protocol):
    """Access keys and buckets. Changes are durable in the mapper's database when they return.

    Methods raise S3Error(SlowDown) when no mapper answers and what is asked cannot be known without one.
    """

    async def find_key(self, access_key: str) -> Key | None:
        """The key with its secret and rights, None when there is none. Called for every request: from memory."""

    async def bucket(self, name: str) -> Bucket | None:
        """A bucket, None when there is none. Called for every request: from memory where possible."""

    async def buckets(self) -> tuple[Bucket, ...]:
        """All of them, ordered by name."""

    async def create_bucket(self, name: str, owner: str, settings: dict[str, str]) -> Bucket:
        """Make one, with the mapper's policy for new namespaces.

        :param owner: the access key that asked.
        :raises S3Error: BucketAlreadyOwnedByYou, BucketAlreadyExists.
        """

    async def delete_bucket(self, name: str) -> None:
        """Remove one.

        :raises S3Error: NoSuchBucket; BucketNotEmpty when an object came in between (the gateway looked before).
        """

    async def set_bucket(self, name: str, settings: dict[str, str]) -> Bucket:
        """Change the settings that are named, leave the others; the value "" removes one.

        :raises S3Error: NoSuchBucket.
        """
