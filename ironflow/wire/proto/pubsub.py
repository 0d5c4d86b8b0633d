"""ironflow/v1/pubsub.proto, made by `scripts/protos`: do not edit."""

from enum import IntEnum
from typing import Annotated, Final

from msgspec import UNSET

from ironflow.wire.message import (
    Empty,
    Field,
    Kind,
    Message,
    Method,
    Service,
    StructField,
    ValueField,
)


class AckMode(IntEnum):
    """ironflow.v1.AckMode."""

    ACK_MODE_UNSPECIFIED = 0
    ACK_MODE_AUTO = 1
    ACK_MODE_MANUAL = 2


class BackpressureMode(IntEnum):
    """ironflow.v1.BackpressureMode."""

    BACKPRESSURE_MODE_UNSPECIFIED = 0
    BACKPRESSURE_MODE_DROP = 1
    BACKPRESSURE_MODE_BLOCK = 2
    BACKPRESSURE_MODE_BUFFER = 3


class ConsumerGroupStatus(IntEnum):
    """ironflow.v1.ConsumerGroupStatus."""

    CONSUMER_GROUP_STATUS_UNSPECIFIED = 0
    CONSUMER_GROUP_STATUS_ACTIVE = 1
    CONSUMER_GROUP_STATUS_PAUSED = 2
    CONSUMER_GROUP_STATUS_DELETED = 3


class AckType(IntEnum):
    """ironflow.v1.AckType."""

    ACK_TYPE_UNSPECIFIED = 0
    ACK_TYPE_ACK = 1
    ACK_TYPE_NAK = 2
    ACK_TYPE_TERM = 3


class AckResultCode(IntEnum):
    """ironflow.v1.AckResultCode."""

    ACK_RESULT_CODE_UNSPECIFIED = 0
    ACK_RESULT_CODE_OK = 1
    ACK_RESULT_CODE_INVALID_ARGUMENT = 2
    ACK_RESULT_CODE_INTERNAL = 3
    ACK_RESULT_CODE_NOT_FOUND = 4


class EmitRequest(Message, frozen=True):
    """ironflow.v1.EmitRequest."""

    event: Annotated[str, Field(1, Kind.STRING)] = ""
    data: Annotated[StructField, Field(2, Kind.STRUCT)] = None
    idempotency_key: Annotated[str, Field(3, Kind.STRING)] = ""
    metadata: Annotated[StructField, Field(4, Kind.STRUCT)] = None
    namespace: Annotated[str, Field(5, Kind.STRING)] = ""
    version: Annotated[int, Field(6, Kind.INT32)] = 0
    data_value: Annotated[ValueField, Field(7, Kind.VALUE)] = UNSET


class EmitResponse(Message, frozen=True):
    """ironflow.v1.EmitResponse."""

    run_ids: Annotated[tuple[str, ...], Field(1, Kind.STRING, many=True)] = ()
    event_id: Annotated[str, Field(2, Kind.STRING)] = ""


class SubscribeOptions(Message, frozen=True):
    """ironflow.v1.SubscribeOptions."""

    replay: Annotated[int, Field(1, Kind.INT32)] = 0
    include_metadata: Annotated[bool, Field(2, Kind.BOOL)] = False
    filter: Annotated[str, Field(3, Kind.STRING)] = ""
    namespace: Annotated[str, Field(4, Kind.STRING)] = ""
    consumer_group: Annotated[str, Field(5, Kind.STRING)] = ""
    ack_mode: Annotated[int, Field(6, Kind.ENUM, AckMode)] = 0
    backpressure: Annotated[int, Field(7, Kind.ENUM, BackpressureMode)] = 0
    start_after_sequence: Annotated[
        int | None, Field(8, Kind.UINT64, optional=True)
    ] = None


class SubscribeRequest(Message, frozen=True):
    """ironflow.v1.SubscribeRequest."""

    pattern: Annotated[str, Field(1, Kind.STRING)] = ""
    options: Annotated[
        SubscribeOptions | None, Field(2, Kind.MESSAGE, SubscribeOptions)
    ] = None


class EventMetadata(Message, frozen=True):
    """ironflow.v1.EventMetadata."""

    timestamp: Annotated[int | None, Field(1, Kind.TIMESTAMP)] = None
    source: Annotated[str, Field(2, Kind.STRING)] = ""
    namespace: Annotated[str, Field(3, Kind.STRING)] = ""
    custom: Annotated[StructField, Field(4, Kind.STRUCT)] = None


class SubscriptionEvent(Message, frozen=True):
    """ironflow.v1.SubscriptionEvent."""

    subscription_id: Annotated[str, Field(1, Kind.STRING)] = ""
    event_id: Annotated[str, Field(2, Kind.STRING)] = ""
    topic: Annotated[str, Field(3, Kind.STRING)] = ""
    data: Annotated[StructField, Field(4, Kind.STRUCT)] = None
    metadata: Annotated[EventMetadata | None, Field(5, Kind.MESSAGE, EventMetadata)] = (
        None
    )
    sequence: Annotated[int, Field(6, Kind.UINT64)] = 0
    delivery_attempt: Annotated[int, Field(7, Kind.INT32)] = 0
    data_value: Annotated[ValueField, Field(8, Kind.VALUE)] = UNSET


class SubscriptionAck(Message, frozen=True):
    """ironflow.v1.SubscriptionAck."""

    event_id: Annotated[str, Field(1, Kind.STRING)] = ""
    ack_type: Annotated[int, Field(2, Kind.ENUM, AckType)] = 0
    redeliver_delay_ms: Annotated[int, Field(3, Kind.INT32)] = 0
    ack_id: Annotated[int, Field(4, Kind.UINT64)] = 0


class JoinConsumerGroupRequest(Message, frozen=True):
    """ironflow.v1.JoinConsumerGroupRequest."""

    namespace: Annotated[str, Field(1, Kind.STRING)] = ""
    group_name: Annotated[str, Field(2, Kind.STRING)] = ""
    consumer_id: Annotated[str, Field(3, Kind.STRING)] = ""
    client_id: Annotated[str, Field(4, Kind.STRING)] = ""


class SubscribeBidirectionalRequest(Message, frozen=True):
    """ironflow.v1.SubscribeBidirectionalRequest."""

    join: Annotated[
        JoinConsumerGroupRequest | None,
        Field(1, Kind.MESSAGE, JoinConsumerGroupRequest, oneof="payload"),
    ] = None
    ack: Annotated[
        SubscriptionAck | None, Field(2, Kind.MESSAGE, SubscriptionAck, oneof="payload")
    ] = None


class ConsumerGroupJoined(Message, frozen=True):
    """ironflow.v1.ConsumerGroupJoined."""

    subscription_id: Annotated[str, Field(1, Kind.STRING)] = ""
    group_name: Annotated[str, Field(2, Kind.STRING)] = ""
    pattern: Annotated[str, Field(3, Kind.STRING)] = ""
    ack_mode: Annotated[int, Field(4, Kind.ENUM, AckMode)] = 0


class AckResult(Message, frozen=True):
    """ironflow.v1.AckResult."""

    ack_id: Annotated[int, Field(1, Kind.UINT64)] = 0
    event_id: Annotated[str, Field(2, Kind.STRING)] = ""
    code: Annotated[int, Field(3, Kind.ENUM, AckResultCode)] = 0
    message: Annotated[str, Field(4, Kind.STRING)] = ""


class StreamHeartbeat(Message, frozen=True):
    """ironflow.v1.StreamHeartbeat."""


class SubscribeBidirectionalResponse(Message, frozen=True):
    """ironflow.v1.SubscribeBidirectionalResponse."""

    joined: Annotated[
        ConsumerGroupJoined | None,
        Field(1, Kind.MESSAGE, ConsumerGroupJoined, oneof="payload"),
    ] = None
    event: Annotated[
        SubscriptionEvent | None,
        Field(2, Kind.MESSAGE, SubscriptionEvent, oneof="payload"),
    ] = None
    ack_result: Annotated[
        AckResult | None, Field(3, Kind.MESSAGE, AckResult, oneof="payload")
    ] = None
    heartbeat: Annotated[
        StreamHeartbeat | None, Field(4, Kind.MESSAGE, StreamHeartbeat, oneof="payload")
    ] = None


class AckEventRequest(Message, frozen=True):
    """ironflow.v1.AckEventRequest."""

    namespace: Annotated[str, Field(1, Kind.STRING)] = ""
    group_name: Annotated[str, Field(2, Kind.STRING)] = ""
    consumer_id: Annotated[str, Field(3, Kind.STRING)] = ""
    event_id: Annotated[str, Field(4, Kind.STRING)] = ""
    ack_type: Annotated[int, Field(5, Kind.ENUM, AckType)] = 0
    redeliver_delay_ms: Annotated[int, Field(6, Kind.INT32)] = 0


class AckEventResponse(Message, frozen=True):
    """ironflow.v1.AckEventResponse."""


class ConsumerGroup(Message, frozen=True):
    """ironflow.v1.ConsumerGroup."""

    id: Annotated[str, Field(1, Kind.STRING)] = ""
    namespace: Annotated[str, Field(2, Kind.STRING)] = ""
    name: Annotated[str, Field(3, Kind.STRING)] = ""
    pattern: Annotated[str, Field(4, Kind.STRING)] = ""
    filter_expr: Annotated[str, Field(5, Kind.STRING)] = ""
    ack_mode: Annotated[int, Field(6, Kind.ENUM, AckMode)] = 0
    backpressure: Annotated[int, Field(7, Kind.ENUM, BackpressureMode)] = 0
    max_inflight: Annotated[int, Field(8, Kind.INT32)] = 0
    max_redeliveries: Annotated[int, Field(9, Kind.INT32)] = 0
    redeliver_delay_ms: Annotated[int, Field(10, Kind.INT32)] = 0
    metadata: Annotated[StructField, Field(11, Kind.STRUCT)] = None
    status: Annotated[int, Field(12, Kind.ENUM, ConsumerGroupStatus)] = 0
    member_count: Annotated[int, Field(13, Kind.INT32)] = 0
    created_at: Annotated[int | None, Field(14, Kind.TIMESTAMP)] = None
    updated_at: Annotated[int | None, Field(15, Kind.TIMESTAMP)] = None


class CreateConsumerGroupRequest(Message, frozen=True):
    """ironflow.v1.CreateConsumerGroupRequest."""

    namespace: Annotated[str, Field(1, Kind.STRING)] = ""
    name: Annotated[str, Field(2, Kind.STRING)] = ""
    pattern: Annotated[str, Field(3, Kind.STRING)] = ""
    filter_expr: Annotated[str, Field(4, Kind.STRING)] = ""
    ack_mode: Annotated[int, Field(5, Kind.ENUM, AckMode)] = 0
    backpressure: Annotated[int, Field(6, Kind.ENUM, BackpressureMode)] = 0
    max_inflight: Annotated[int, Field(7, Kind.INT32)] = 0
    max_redeliveries: Annotated[int, Field(8, Kind.INT32)] = 0
    redeliver_delay_ms: Annotated[int, Field(9, Kind.INT32)] = 0
    metadata: Annotated[StructField, Field(10, Kind.STRUCT)] = None


class GetConsumerGroupRequest(Message, frozen=True):
    """ironflow.v1.GetConsumerGroupRequest."""

    namespace: Annotated[str, Field(1, Kind.STRING)] = ""
    name: Annotated[str, Field(2, Kind.STRING)] = ""


class ListConsumerGroupsRequest(Message, frozen=True):
    """ironflow.v1.ListConsumerGroupsRequest."""

    namespace: Annotated[str, Field(1, Kind.STRING)] = ""
    status: Annotated[int, Field(2, Kind.ENUM, ConsumerGroupStatus)] = 0
    limit: Annotated[int, Field(3, Kind.INT32)] = 0
    cursor: Annotated[str, Field(4, Kind.STRING)] = ""


class ListConsumerGroupsResponse(Message, frozen=True):
    """ironflow.v1.ListConsumerGroupsResponse."""

    groups: Annotated[
        tuple[ConsumerGroup, ...], Field(1, Kind.MESSAGE, ConsumerGroup, many=True)
    ] = ()
    next_cursor: Annotated[str, Field(2, Kind.STRING)] = ""
    total_count: Annotated[int, Field(3, Kind.INT32)] = 0


class UpdateConsumerGroupRequest(Message, frozen=True):
    """ironflow.v1.UpdateConsumerGroupRequest."""

    group: Annotated[ConsumerGroup | None, Field(1, Kind.MESSAGE, ConsumerGroup)] = None
    update_mask: Annotated[tuple[str, ...] | None, Field(2, Kind.FIELD_MASK)] = None


class DeleteConsumerGroupRequest(Message, frozen=True):
    """ironflow.v1.DeleteConsumerGroupRequest."""

    namespace: Annotated[str, Field(1, Kind.STRING)] = ""
    name: Annotated[str, Field(2, Kind.STRING)] = ""


class ServerCapabilities(Message, frozen=True):
    """ironflow.v1.ServerCapabilities."""

    transports: Annotated[tuple[str, ...], Field(1, Kind.STRING, many=True)] = ()
    features: Annotated[tuple[str, ...], Field(2, Kind.STRING, many=True)] = ()
    version: Annotated[str, Field(3, Kind.STRING)] = ""


class PublishRequest(Message, frozen=True):
    """ironflow.v1.PublishRequest."""

    topic: Annotated[str, Field(1, Kind.STRING)] = ""
    data: Annotated[StructField, Field(2, Kind.STRUCT)] = None
    idempotency_key: Annotated[str, Field(3, Kind.STRING)] = ""
    data_value: Annotated[ValueField, Field(4, Kind.VALUE)] = UNSET


class PublishResponse(Message, frozen=True):
    """ironflow.v1.PublishResponse."""

    event_id: Annotated[str, Field(1, Kind.STRING)] = ""
    sequence: Annotated[int, Field(2, Kind.UINT64)] = 0
    duplicate: Annotated[bool, Field(3, Kind.BOOL)] = False


class ListTopicsRequest(Message, frozen=True):
    """ironflow.v1.ListTopicsRequest."""


class TopicInfo(Message, frozen=True):
    """ironflow.v1.TopicInfo."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    message_count: Annotated[int, Field(2, Kind.INT64)] = 0
    consumer_count: Annotated[int, Field(3, Kind.INT32)] = 0
    first_message_at: Annotated[int | None, Field(4, Kind.TIMESTAMP)] = None
    last_message_at: Annotated[int | None, Field(5, Kind.TIMESTAMP)] = None


class ListTopicsResponse(Message, frozen=True):
    """ironflow.v1.ListTopicsResponse."""

    topics: Annotated[
        tuple[TopicInfo, ...], Field(1, Kind.MESSAGE, TopicInfo, many=True)
    ] = ()


class GetTopicStatsRequest(Message, frozen=True):
    """ironflow.v1.GetTopicStatsRequest."""

    topic: Annotated[str, Field(1, Kind.STRING)] = ""


class GetTopicStatsResponse(Message, frozen=True):
    """ironflow.v1.GetTopicStatsResponse."""

    name: Annotated[str, Field(1, Kind.STRING)] = ""
    message_count: Annotated[int, Field(2, Kind.INT64)] = 0
    consumer_count: Annotated[int, Field(3, Kind.INT32)] = 0
    lag: Annotated[int, Field(4, Kind.INT64)] = 0
    first_seq: Annotated[int, Field(5, Kind.UINT64)] = 0
    last_seq: Annotated[int, Field(6, Kind.UINT64)] = 0


PubSubService: Final[Service] = {
    "Emit": Method("Emit", EmitRequest, EmitResponse),
    "Subscribe": Method(
        "Subscribe", SubscribeRequest, SubscriptionEvent, streams_responses=True
    ),
    "SubscribeBidirectional": Method(
        "SubscribeBidirectional",
        SubscribeBidirectionalRequest,
        SubscribeBidirectionalResponse,
        streams_requests=True,
        streams_responses=True,
    ),
    "AckEvent": Method("AckEvent", AckEventRequest, AckEventResponse),
    "CreateConsumerGroup": Method(
        "CreateConsumerGroup", CreateConsumerGroupRequest, ConsumerGroup
    ),
    "GetConsumerGroup": Method(
        "GetConsumerGroup",
        GetConsumerGroupRequest,
        ConsumerGroup,
        has_side_effects=False,
    ),
    "ListConsumerGroups": Method(
        "ListConsumerGroups",
        ListConsumerGroupsRequest,
        ListConsumerGroupsResponse,
        has_side_effects=False,
    ),
    "UpdateConsumerGroup": Method(
        "UpdateConsumerGroup", UpdateConsumerGroupRequest, ConsumerGroup
    ),
    "DeleteConsumerGroup": Method(
        "DeleteConsumerGroup", DeleteConsumerGroupRequest, Empty
    ),
    "JoinConsumerGroup": Method(
        "JoinConsumerGroup",
        JoinConsumerGroupRequest,
        SubscriptionEvent,
        streams_responses=True,
    ),
    "Publish": Method("Publish", PublishRequest, PublishResponse),
    "ListTopics": Method(
        "ListTopics", ListTopicsRequest, ListTopicsResponse, has_side_effects=False
    ),
    "GetTopicStats": Method(
        "GetTopicStats",
        GetTopicStatsRequest,
        GetTopicStatsResponse,
        has_side_effects=False,
    ),
}
