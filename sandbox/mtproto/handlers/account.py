"""help.* and account.*: the configuration of the server, and the state of the client's account."""

from typing import Any

from telethon.tl import functions, types

from sandbox.mtproto.rpc import RpcCall, handles

THIS_DC = 2
# Both data centres of the sandbox have the same address, but a client can be sent from one to the other.
DATA_CENTRES = (2, 4)
CONFIG_VALID_SECONDS = 3600
# Figures of Telegram's own configuration; no client of the sandbox depends on them.
LIMITS = {
    "chat_size_max": 200,
    "megagroup_size_max": 200_000,
    "forwarded_count_max": 100,
    "online_update_period_ms": 210_000,
    "offline_blur_timeout_ms": 5_000,
    "offline_idle_timeout_ms": 30_000,
    "online_cloud_timeout_ms": 300_000,
    "notify_cloud_delay_ms": 30_000,
    "notify_default_delay_ms": 1_500,
    "push_chat_period_ms": 60_000,
    "push_chat_limit": 2,
    "edit_time_limit": 172_800,
    "revoke_time_limit": 2_147_483_647,
    "revoke_pm_time_limit": 2_147_483_647,
    "rating_e_decay": 2_419_200,
    "stickers_recent_limit": 200,
    "channels_read_media_period": 604_800,
    "call_receive_timeout_ms": 20_000,
    "call_ring_timeout_ms": 90_000,
    "call_connect_timeout_ms": 30_000,
    "call_packet_timeout_ms": 10_000,
    "caption_length_max": 1024,
    "message_length_max": 4096,
    "webfile_dc_id": 4,
}


@handles(functions.help.GetConfigRequest, login=False)
def get_config(call: RpcCall, _request: Any) -> Any:
    now = int(call.server.wall_clock())
    here = [types.DcOption(id=dc, ip_address=call.server.host, port=call.server.port) for dc in DATA_CENTRES]
    return types.Config(
        date=now,
        expires=now + CONFIG_VALID_SECONDS,
        test_mode=False,
        this_dc=THIS_DC,
        dc_options=here,
        dc_txt_domain_name="",
        me_url_prefix="https://t.me/",
        **LIMITS,
    )


@handles(functions.help.GetNearestDcRequest, login=False)
def get_nearest_dc(_call: RpcCall, _request: Any) -> Any:
    return types.NearestDc(country="", this_dc=THIS_DC, nearest_dc=THIS_DC)


@handles(functions.account.UpdateStatusRequest)
def update_status(_call: RpcCall, _request: Any) -> bool:
    return True
