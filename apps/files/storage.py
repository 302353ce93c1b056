"""Object storage that speaks S3: Aliyun OSS, MinIO and their like (settings.STORAGES)."""

from __future__ import annotations

from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config
from storages.backends.s3 import S3Storage

from apps.files import oss


class ObjectStorage(S3Storage):
    """The S3 storage of django-storages, with what makes it work with servers that are not Amazon's.

    boto3 adds CRC32 headers and chunked bodies of its own, which OSS refuses: they are off. OSS knows virtual hosts
    only and wants signature "s3" (V2); MinIO wants paths and "s3v4".
    """

    def __init__(
        self,
        *,
        addressing: str,
        signature: str,
        vendor: str = "s3",
        public_endpoint: str = "",
        **options: Any,
    ) -> None:
        self.vendor = vendor
        self.post_signature = "s3v4"
        config = {
            "s3": {"addressing_style": addressing},
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "connect_timeout": 5,
            "read_timeout": 30,
            "retries": {"max_attempts": 3, "mode": "standard"},
        }
        self.post_config = Config(signature_version="s3v4", **config)
        public = {**options, "endpoint_url": public_endpoint}
        self.public = (
            ObjectStorage(addressing=addressing, signature=signature, vendor=vendor, **public)
            if public_endpoint
            else None
        )
        super().__init__(client_config=Config(signature_version=signature, **config), **options)

    def url(self, name: str, parameters: Any = None, expire: Any = None, http_method: Any = None) -> str:
        """Return a signed address, of the host that the world reaches."""
        if self.public is not None:
            return self.public.url(name, parameters, expire, http_method)
        return super().url(name, parameters, expire, http_method)

    def post_form(
        self, *, key: str, media_type: str, size: int, lifetime_s: int
    ) -> tuple[str, dict[str, str]]:
        """Return address and fields of a form that puts one object of one type and at most `size` bytes at `key`.

        Its signature is V4 whatever the server's own requests use: V2 forms differ by region.
        """
        if self.public is not None:
            return self.public.post_form(key=key, media_type=media_type, size=size, lifetime_s=lifetime_s)
        client = self._create_session().client(
            "s3",
            region_name=self.region_name,
            endpoint_url=self.endpoint_url,
            config=self.post_config,
            use_ssl=self.use_ssl,
            verify=self.verify,
        )
        form = client.generate_presigned_post(
            self.bucket_name,
            key,
            Fields={"Content-Type": media_type},
            Conditions=[{"Content-Type": media_type}, ["content-length-range", 1, size]],
            ExpiresIn=lifetime_s,
        )
        return form["url"], form["fields"]

    def oss_form_address(self) -> str:
        """Return where OSS takes forms."""
        return oss.form_address(endpoint=(self.public or self).endpoint_url, bucket=self.bucket_name)

    @cached_property
    def origins(self) -> list[str]:
        """Where browsers load files from and upload them to, such as "https://files.example.com"."""
        if self.vendor == "oss":
            form = self.oss_form_address()
        else:
            form, _fields = self.post_form(key="-", media_type="-", size=1, lifetime_s=1)
        parts = [urlsplit(one) for one in (form, self.url("-"))]
        return sorted({f"{one.scheme}://{one.netloc}" for one in parts})
