"""ironflow/v1/webhook.proto, made by `scripts/protos`: do not edit."""

from typing import Annotated, Final

from ironflow.wire.message import (
    Empty,
    Field,
    Kind,
    Message,
    Method,
    Service,
    StructField,
)


class WebhookVerifyConfig(Message, frozen=True):
    """ironflow.v1.WebhookVerifyConfig."""

    signature_header: Annotated[str, Field(1, Kind.STRING)] = ""
    entry_separator: Annotated[str, Field(2, Kind.STRING)] = ""
    kv_delimiter: Annotated[str, Field(3, Kind.STRING)] = ""
    signature_key: Annotated[str, Field(4, Kind.STRING)] = ""
    timestamp_header: Annotated[str, Field(5, Kind.STRING)] = ""
    timestamp_key: Annotated[str, Field(6, Kind.STRING)] = ""
    signing_template: Annotated[str, Field(7, Kind.STRING)] = ""
    encoding: Annotated[str, Field(8, Kind.STRING)] = ""
    algorithm: Annotated[str, Field(9, Kind.STRING)] = ""
    tolerance_seconds: Annotated[int, Field(10, Kind.INT32)] = 0
    event_name_path: Annotated[str, Field(11, Kind.STRING)] = ""
    dedup_id_path: Annotated[str, Field(12, Kind.STRING)] = ""


class WebhookSource(Message, frozen=True):
    """ironflow.v1.WebhookSource."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    event_prefix: Annotated[str, Field(2, Kind.STRING)] = ""
    verify_header: Annotated[str, Field(3, Kind.STRING)] = ""
    verify_algorithm: Annotated[str, Field(4, Kind.STRING)] = ""
    source_type: Annotated[str, Field(5, Kind.STRING)] = ""
    metadata: Annotated[StructField, Field(6, Kind.STRUCT)] = None
    created_at: Annotated[int | None, Field(7, Kind.TIMESTAMP)] = None
    updated_at: Annotated[int | None, Field(8, Kind.TIMESTAMP)] = None
    verify_secret_set: Annotated[bool, Field(9, Kind.BOOL)] = False
    name: Annotated[str, Field(10, Kind.STRING)] = ""
    verify_secret_prev_set: Annotated[bool, Field(11, Kind.BOOL)] = False
    verify_secret_prev_expires_at: Annotated[int | None, Field(12, Kind.TIMESTAMP)] = (
        None
    )
    ingest_token_prefix: Annotated[str, Field(13, Kind.STRING)] = ""
    ingest_token: Annotated[str, Field(14, Kind.STRING)] = ""
    verify_config: Annotated[
        WebhookVerifyConfig | None, Field(15, Kind.MESSAGE, WebhookVerifyConfig)
    ] = None
    schema_version: Annotated[int, Field(16, Kind.INT32)] = 0


class GetWebhookSourceRequest(Message, frozen=True):
    """ironflow.v1.GetWebhookSourceRequest."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""


class CreateWebhookSourceRequest(Message, frozen=True):
    """ironflow.v1.CreateWebhookSourceRequest."""

    event_prefix: Annotated[str, Field(2, Kind.STRING)] = ""
    verify_header: Annotated[str, Field(3, Kind.STRING)] = ""
    verify_algorithm: Annotated[str, Field(4, Kind.STRING)] = ""
    verify_secret: Annotated[str, Field(5, Kind.STRING)] = ""
    metadata: Annotated[StructField, Field(6, Kind.STRUCT)] = None
    name: Annotated[str, Field(7, Kind.STRING)] = ""
    verify_config: Annotated[
        WebhookVerifyConfig | None, Field(8, Kind.MESSAGE, WebhookVerifyConfig)
    ] = None
    schema_version: Annotated[int, Field(9, Kind.INT32)] = 0


class ListWebhookSourcesRequest(Message, frozen=True):
    """ironflow.v1.ListWebhookSourcesRequest."""

    limit: Annotated[int, Field(1, Kind.INT32)] = 0
    offset: Annotated[int, Field(2, Kind.INT32)] = 0


class ListWebhookSourcesResponse(Message, frozen=True):
    """ironflow.v1.ListWebhookSourcesResponse."""

    sources: Annotated[
        tuple[WebhookSource, ...], Field(1, Kind.MESSAGE, WebhookSource, many=True)
    ] = ()
    total_count: Annotated[int, Field(2, Kind.INT32)] = 0


class UpdateWebhookSourceRequest(Message, frozen=True):
    """ironflow.v1.UpdateWebhookSourceRequest."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    name: Annotated[str, Field(2, Kind.STRING)] = ""
    verify_header: Annotated[str, Field(3, Kind.STRING)] = ""
    verify_algorithm: Annotated[str, Field(4, Kind.STRING)] = ""
    metadata: Annotated[StructField, Field(5, Kind.STRUCT)] = None
    verify_config: Annotated[
        WebhookVerifyConfig | None, Field(6, Kind.MESSAGE, WebhookVerifyConfig)
    ] = None
    expected_updated_at: Annotated[int | None, Field(7, Kind.TIMESTAMP)] = None
    schema_version: Annotated[int, Field(8, Kind.INT32)] = 0


class RotateWebhookSecretRequest(Message, frozen=True):
    """ironflow.v1.RotateWebhookSecretRequest."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    verify_secret: Annotated[str, Field(2, Kind.STRING)] = ""
    grace_seconds: Annotated[int | None, Field(3, Kind.INT32, optional=True)] = None
    expected_updated_at: Annotated[int | None, Field(4, Kind.TIMESTAMP)] = None


class ExpireWebhookSecretPrevRequest(Message, frozen=True):
    """ironflow.v1.ExpireWebhookSecretPrevRequest."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    expected_updated_at: Annotated[int | None, Field(2, Kind.TIMESTAMP)] = None


class DisableWebhookSignatureVerificationRequest(Message, frozen=True):
    """ironflow.v1.DisableWebhookSignatureVerificationRequest."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    grace_seconds: Annotated[int | None, Field(2, Kind.INT32, optional=True)] = None
    expected_updated_at: Annotated[int | None, Field(3, Kind.TIMESTAMP)] = None


class RotateWebhookIngestTokenRequest(Message, frozen=True):
    """ironflow.v1.RotateWebhookIngestTokenRequest."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    expected_updated_at: Annotated[int | None, Field(2, Kind.TIMESTAMP)] = None


class DeleteWebhookSourceRequest(Message, frozen=True):
    """ironflow.v1.DeleteWebhookSourceRequest."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""


class WebhookDelivery(Message, frozen=True):
    """ironflow.v1.WebhookDelivery."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    source_id: Annotated[str, Field(2, Kind.STRING)] = ""
    external_id: Annotated[str, Field(3, Kind.STRING)] = ""
    status: Annotated[str, Field(4, Kind.STRING)] = ""
    event_id: Annotated[str, Field(5, Kind.STRING)] = ""
    error: Annotated[str, Field(6, Kind.STRING)] = ""
    created_at: Annotated[int | None, Field(7, Kind.TIMESTAMP)] = None
    request_body: Annotated[str, Field(8, Kind.STRING)] = ""
    request_headers: Annotated[StructField, Field(9, Kind.STRUCT)] = None
    signature_key: Annotated[str, Field(10, Kind.STRING)] = ""


class ListWebhookDeliveriesRequest(Message, frozen=True):
    """ironflow.v1.ListWebhookDeliveriesRequest."""

    source_id: Annotated[str, Field(1, Kind.STRING)] = ""
    status: Annotated[str, Field(2, Kind.STRING)] = ""
    limit: Annotated[int, Field(3, Kind.INT32)] = 0
    offset: Annotated[int, Field(4, Kind.INT32)] = 0


class ListWebhookDeliveriesResponse(Message, frozen=True):
    """ironflow.v1.ListWebhookDeliveriesResponse."""

    deliveries: Annotated[
        tuple[WebhookDelivery, ...], Field(1, Kind.MESSAGE, WebhookDelivery, many=True)
    ] = ()
    total_count: Annotated[int, Field(2, Kind.INT32)] = 0


class TestWebhookVerifyConfigRequest(Message, frozen=True):
    """ironflow.v1.TestWebhookVerifyConfigRequest."""

    verify_config: Annotated[
        WebhookVerifyConfig | None, Field(1, Kind.MESSAGE, WebhookVerifyConfig)
    ] = None
    body: Annotated[str, Field(2, Kind.STRING)] = ""
    headers: Annotated[dict[str, str], Field(3, Kind.STRING, keyed=True)] = {}
    verify_secret: Annotated[str, Field(4, Kind.STRING)] = ""
    source_id: Annotated[str, Field(5, Kind.STRING)] = ""


class TestWebhookVerifyConfigResponse(Message, frozen=True):
    """ironflow.v1.TestWebhookVerifyConfigResponse."""

    verified: Annotated[bool, Field(1, Kind.BOOL)] = False
    signing_string: Annotated[str, Field(2, Kind.STRING)] = ""
    computed_signature: Annotated[str, Field(3, Kind.STRING)] = ""
    presented_signatures: Annotated[
        tuple[str, ...], Field(4, Kind.STRING, many=True)
    ] = ()
    resolved_timestamp: Annotated[str, Field(5, Kind.STRING)] = ""
    resolved_event_name: Annotated[str, Field(6, Kind.STRING)] = ""
    resolved_dedup_id: Annotated[str, Field(7, Kind.STRING)] = ""
    error: Annotated[str, Field(8, Kind.STRING)] = ""


WebhookService: Final[Service] = {
    "CreateWebhookSource": Method(
        "CreateWebhookSource", CreateWebhookSourceRequest, WebhookSource
    ),
    "GetWebhookSource": Method(
        "GetWebhookSource",
        GetWebhookSourceRequest,
        WebhookSource,
        has_side_effects=False,
    ),
    "ListWebhookSources": Method(
        "ListWebhookSources",
        ListWebhookSourcesRequest,
        ListWebhookSourcesResponse,
        has_side_effects=False,
    ),
    "UpdateWebhookSource": Method(
        "UpdateWebhookSource", UpdateWebhookSourceRequest, WebhookSource
    ),
    "RotateWebhookSecret": Method(
        "RotateWebhookSecret", RotateWebhookSecretRequest, WebhookSource
    ),
    "ExpireWebhookSecretPrev": Method(
        "ExpireWebhookSecretPrev", ExpireWebhookSecretPrevRequest, WebhookSource
    ),
    "DisableWebhookSignatureVerification": Method(
        "DisableWebhookSignatureVerification",
        DisableWebhookSignatureVerificationRequest,
        WebhookSource,
    ),
    "RotateWebhookIngestToken": Method(
        "RotateWebhookIngestToken", RotateWebhookIngestTokenRequest, WebhookSource
    ),
    "TestWebhookVerifyConfig": Method(
        "TestWebhookVerifyConfig",
        TestWebhookVerifyConfigRequest,
        TestWebhookVerifyConfigResponse,
    ),
    "DeleteWebhookSource": Method(
        "DeleteWebhookSource", DeleteWebhookSourceRequest, Empty
    ),
    "ListWebhookDeliveries": Method(
        "ListWebhookDeliveries",
        ListWebhookDeliveriesRequest,
        ListWebhookDeliveriesResponse,
        has_side_effects=False,
    ),
}
