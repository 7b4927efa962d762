"""Sound requests, documents, policies and bodies of S3, which the fuzzer's changes begin from."""

from __future__ import annotations

REQUESTS = tuple(
    text.encode()
    for text in (
        "GET /\n\n",
        "GET /?prefix=b&max-buckets=10&continuation-token=YQ==\n\n",
        "PUT /new-bucket\nx-amz-bucket-object-lock-enabled: true\n\n",
        (
            "PUT /bucket\nx-amz-acl: private\n\n<CreateBucketConfiguration><LocationConstraint>EU</LocationConstraint>"
            "</CreateBucketConfiguration>"
        ),
        "DELETE /bucket\n\n",
        "HEAD /bucket\n\n",
        "GET /bucket?prefix=a&delimiter=/&marker=a&max-keys=5&encoding-type=url\n\n",
        "GET /bucket?list-type=2&start-after=a&fetch-owner=true&continuation-token=YS9i\n\n",
        "GET /bucket?versions&key-marker=a/b&version-id-marker=v00000002\n\n",
        "GET /bucket?uploads&key-marker=key&upload-id-marker=u00000003&max-uploads=1\n\n",
        "GET /bucket?location\n\n",
        "GET /bucket?policy\n\n",
        "PUT /bucket?versioning\n\n<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
        (
            'PUT /bucket?policy\n\n{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:PutObject",'
            '"Resource":"arn:aws:s3:::bucket/*"}]}'
        ),
        (
            "PUT /bucket?lifecycle\n\n<LifecycleConfiguration><Rule><Status>Enabled</Status><Prefix>a</Prefix>"
            "<Expiration><Date>2999-01-01T00:00:00Z</Date></Expiration></Rule></LifecycleConfiguration>"
        ),
        (
            "PUT /bucket?object-lock\n\n<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"
            "<DefaultRetention><Mode>GOVERNANCE</Mode><Days>3</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
        ),
        "PUT /bucket?tagging\n\n<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
        "DELETE /bucket?tagging\n\n",
        (
            "POST /bucket?delete\nx-amz-bypass-governance-retention: true\n\n<Delete><Object><Key>key</Key></Object>"
            "<Object><Key>a/b</Key><VersionId>v00000002</VersionId><ETag>x</ETag></Object></Delete>"
        ),
        'GET /bucket/key\nrange: bytes=1-3\nif-range: "x"\n\n',
        'GET /bucket/key\nif-match: "1e50210a0202497fb79bc38b6ade6c34", W/"x"\nif-none-match: "y"\n\n',
        "GET /bucket/key\nif-modified-since: Sun, 06 Nov 1994 08:49:37 GMT\nx-amz-checksum-mode: ENABLED\n\n",
        "HEAD /bucket/key?partNumber=1\n\n",
        "GET /bucket/a/b?response-content-type=text/plain&response-expires=x&versionId=v00000002\n\n",
        "GET /bucket/key?attributes\nx-amz-object-attributes: ETag,Checksum,ObjectParts\nx-amz-max-parts: 3\n\n",
        (
            "PUT /bucket/new\ncontent-type: text/plain\nx-amz-meta-a: b\ncontent-md5: jXd/OF09/siBXSD3SWAm3A==\n"
            "x-amz-tagging: a=b&c=d\nx-amz-storage-class: STANDARD_IA\n\ndata"
        ),
        (
            "PUT /bucket/new\nx-amz-checksum-crc32: rfMgWw==\nif-none-match: *\nx-amz-object-lock-mode: COMPLIANCE\n"
            "x-amz-object-lock-retain-until-date: 2999-01-01T00:00:00Z\nx-amz-object-lock-legal-hold: ON\n\ndata"
        ),
        (
            "PUT /bucket/new\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\n"
            "x-amz-trailer: x-amz-checksum-crc32\nx-amz-decoded-content-length: 4\ncontent-encoding: aws-chunked\n\n"
            "4\r\ndata\r\n0\r\n"
            "x-amz-checksum-crc32:rfMgWw==\r\n\r\n"
        ),
        (
            "PUT /bucket/copy\nx-amz-copy-source: /bucket/key?versionId=v00000001\nx-amz-metadata-directive: REPLACE\n"
            'x-amz-copy-source-if-match: "1e50210a0202497fb79bc38b6ade6c34"\n\n'
        ),
        "DELETE /bucket/key?versionId=v00000001\nx-amz-bypass-governance-retention: true\n\n",
        "POST /bucket/new?uploads\nx-amz-checksum-algorithm: CRC32C\nx-amz-checksum-type: FULL_OBJECT\n\n",
        "PUT /bucket/key?partNumber=2&uploadId=u00000003\n\npart",
        (
            "PUT /bucket/key?partNumber=2&uploadId=u00000003\nx-amz-copy-source: bucket/a/b\n"
            "x-amz-copy-source-range: bytes=0-3\n\n"
        ),
        "GET /bucket/key?uploadId=u00000003&part-number-marker=0&max-parts=1\n\n",
        (
            "POST /bucket/key?uploadId=u00000003\nx-amz-mp-object-size: 4\n\n<CompleteMultipartUpload><Part>"
            '<PartNumber>1</PartNumber><ETag>"e5bb23797bfea314a3db43d07dbd6a74"</ETag></Part></CompleteMultipartUpload>'
        ),
        "DELETE /bucket/key?uploadId=u00000003\n\n",
        "GET /bucket/key?tagging\n\n",
        "PUT /bucket/key?tagging\n\n<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
        (
            "PUT /bucket/key?retention\n\n<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2999-01-01T00:00:00Z"
            "</RetainUntilDate></Retention>"
        ),
        "GET /bucket/key?retention\n\n",
        "PUT /bucket/key?legal-hold\n\n<LegalHold><Status>ON</Status></LegalHold>",
        "GET /bucket/key?acl\n\n",
    )
)
"""A head in lines, an empty line, the body. The objects are those of testing/fuzz/s3.py."""

DOCUMENTS = (
    *(each.partition(b"\n\n")[2] for each in REQUESTS if b"\n\n<" in each),
    (
        b"<Delete xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><Quiet>true</Quiet><Object><Key>a &amp; &#x62;</Key>"
        b"</Object><Object><Key><![CDATA[c]]></Key></Object></Delete>"
    ),
    (
        b"<AccessControlPolicy><Owner><ID>owner</ID></Owner><AccessControlList><Grant><Grantee><ID>owner</ID></Grantee>"
        b"<Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>"
    ),
    (
        b"<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status><Filter><And><Prefix>p</Prefix><Tag><Key>k</Key>"
        b"<Value>v</Value></Tag><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></And></Filter><Expiration><Days>3</Days>"
        b"</Expiration><NoncurrentVersionExpiration><NoncurrentDays>4</NoncurrentDays><NewerNoncurrentVersions>5"
        b"</NewerNoncurrentVersions></NoncurrentVersionExpiration></Rule><Rule><Status>Disabled</Status><Filter/>"
        b"<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
        b"<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>"
        b"</LifecycleConfiguration>"
    ),
    (
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag><ChecksumCRC32C>AAAAAA==</ChecksumCRC32C>"
        b"</Part><Part><PartNumber>2</PartNumber><ETag>y</ETag></Part></CompleteMultipartUpload>"
    ),
)
"""Of every kind that a request carries."""

POLICIES = (
    (
        b'{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"a","Effect":"Allow","Principal":{"AWS":["READER",'
        b'"arn:aws:iam:::user/OTHER"]},"Action":["s3:Get*","s3:ListBucket"],"Resource":["arn:aws:s3:::bucket",'
        b'"arn:aws:s3:::bucket/a*b?c/*"]},{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":'
        b'"arn:aws:s3:::bucket/*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}'
    ),
    b'{"Statement":[{"Effect":"Allow","Principal":{"AWS":"READER"},"Action":"*","Resource":"arn:aws:s3:::bucket/'
    + b"*a" * 50
    + b'"}]}',
)

CHUNKS = ((b"abcd" * 40, b"efgh" * 20, b"end"), (b"x",), ())
"""Of chunked bodies."""
