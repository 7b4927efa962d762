"""S3 in front of `Objects`: a parsed request in, a response out. It knows no HTTP library; the server adapts.

Offered: path style, and virtual-host style under a configured domain; signature version 4 in the header, in the query
(presigned) and of chunks, with signed and unsigned trailers; presigned URLs of version 2, which boto3 makes by default;
buckets; objects with ranges, conditions (also on writes and deletions), user metadata, tags, checksums (CRC32, CRC32C,
CRC64NVME, SHA1, SHA256; of parts composite or of the whole); copies; batch deletion; listings of both versions, of
versions and of uploads; uploads in parts, also from other objects; versioning; object lock; lifecycle rules without
storage classes; bucket policies as s3/policy.py says.

Refused, clearly: signature version 2 in a header and session tokens (403), ACLs other than private, grants, encryption
by the server, CORS, websites, replication, notifications, uploads by HTML forms, SELECT, appending.

Limits: keys of 1,024 bytes of UTF-8 without NUL; puts and parts of 5 GiB; 10,000 parts; 2 KiB of user metadata; 10
tags; documents of 4 MiB; 100 headers of 32 KiB in all. A signed request is good for 15 minutes and may be sent again in
that time, with the same bytes; TLS keeps others from seeing it.
"""
