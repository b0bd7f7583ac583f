"""What LiteLLM's documented keys do that have no counterpart here, and what to do instead.

The keys are those of its pages on the proxy's configuration and of `litellm/types/router.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nexus_gateway.importing.report import Path


@dataclass(frozen=True)
class Meaning:
    there: str
    here: str


UNKNOWN = Meaning("no page that this importer was written from names it", "look it up, and decide by hand")
_PARAMETER = Meaning(
    "adds it to every request for this model",
    "the gateway passes a body on as it is: set it at the engine, or at the clients",
)
_PROVIDER = Meaning(
    "is an account, region or login of a cloud",
    "the gateway gives a provider one token (credential_env) and takes no other credentials",
)
_PRICE = Meaning(
    "reckons what a call costs", "the metrics count tokens by route (gateway_tokens_total): reckon prices from those"
)
_MODEL_FACT = Meaning("tells clients and its own checks about the model", "the gateway asks no engine what it can do")
_BUDGET = Meaning("holds a budget in money", "policies limit requests and tokens per minute")
_CALLBACK = Meaning(
    "sends logs and measurements to other services",
    "collect standard output (JSON), /metrics, and spans (OTEL_EXPORTER_OTLP_ENDPOINT)",
)
_LOG = Meaning("says how it logs", "one JSON line for each request, without bodies; GATEWAY_PII_MASKING_ENABLED masks")
_CACHE = Meaning("keeps answers, and gives them again", "the gateway keeps no answers; the engine's prefix cache works")
_DATABASE = Meaning(
    "keeps keys, spend and models in its database",
    "there is no database: routes and policies are files in Git, keys a file of digests, counts are in Redis",
)
_VIRTUAL_KEYS = Meaning(
    "makes and checks keys in its database", "make keys with nexus-gateway keys new, and write `policies` for them"
)
_LOGIN = Meaning("checks callers in another way", "signed tokens: set GATEWAY_JWT_JWKS_URL or another GATEWAY_JWT_*")
_CUSTOM_CODE = Meaning("runs Python of yours", "the gateway runs no code from configuration")
_ALERTS = Meaning("sends alerts", "write alerts on the metrics of /metrics")
_PATHS = Meaning("opens or closes paths", "every path is closed without a key but /health, /ready and /metrics")
_PASS_THROUGH = Meaning("relays other paths to other servers", "the gateway relays the APIs of docs/reference alone")
_HEADERS = Meaning(
    "passes headers of the client on", "nothing of the client's but the body goes to an engine; routes may `match` them"
)
_REWRITE = Meaning(
    "changes requests so that providers take them", "a body goes through byte for byte; `passthrough` may refuse fields"
)
_FALLBACK_KIND = Meaning(
    "asks another model where the prompt is too long or was refused",
    "an engine's 4xx is the client's own and is not asked again: let clients ask the larger model",
)
_PRE_CALL = Meaning(
    "leaves deployments out that cannot take the request", "the engine says so itself, and the client gets its answer"
)
_RETRY_KIND = Meaning(
    "retries by the kind of error",
    "failures, timeouts and 429 are asked again within `tries`, before the first byte; other 4xx never",
)
_BREAKER = Meaning("says when a deployment is left alone", "GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES and _RESET_SECONDS")
_STRATEGY = Meaning(
    "chooses the deployment by use, latency, cost or tags",
    "routes have shares, and endpoints are asked by the fewest calls under way",
)
_AFFINITY = Meaning("keeps a caller with a deployment", "x-nexus-session or `user` keeps a caller with one target")
_LIMITS = Meaning(
    "limits calls of a deployment", "max_parallel of the upstream, and the callers' policies, limit calls"
)
_DEFAULT_MODEL = Meaning("names a model where the client does not, or instead", "clients name the model")
_MEDIA = Meaning(
    "is about tools, files, images or other APIs", "the gateway serves text APIs: ask those services directly"
)
_GUARDRAILS = Meaning("checks prompts and answers", "the gateway reads no prompts; put a checker before it")
_SECRETS = Meaning("reads secrets from a vault", "give the process its variables, from a Secret or the vault's agent")
_SIZES = Meaning("bounds requests or answers", "a request has 4 MiB at most; deadlines bound answers")
_HEALTH = Meaning("says how engines are checked", "upstreams have `health` with path, interval and timeout")
_INSIDE = Meaning("tunes the inside of LiteLLM", "there is nothing to tune here")
_ENVIRONMENT = Meaning("sets it for its own process", "set it for the gateway's process if something there needs it")
_TEAMS = Meaning("has teams with settings of their own", "keys of a `tenant` share one policy, and its limits")
_UI = Meaning("shows or hides a page for people", "there is no user interface; /metrics and the log feed dashboards")


def _words(meaning: Meaning, *words: str) -> dict[str, Meaning]:
    return dict.fromkeys(" ".join(words).split(), meaning)


_DEPLOYMENT = {
    **_words(_PRICE, "input_cost_per_token output_cost_per_token input_cost_per_second output_cost_per_second"),
    **_words(_BUDGET, "max_budget budget_duration"),
    **_words(_LIMITS, "weight rpm tpm itpm otpm default_api_key_tpm_limit default_api_key_rpm_limit max_file_size_mb"),
    **_words(_STRATEGY, "tags tag_regex region_name auto_router_config auto_router_config_path",
             "complexity_router_config"),
    **_words(_BREAKER, "cooldown_time"),
    **_words(_REWRITE, "drop_params additional_drop_params allowed_openai_params merge_reasoning_content_in_choices",
             "use_chat_completions_api initial_prompt_value roles final_prompt_value bos_token eos_token"),
    **_words(_HEADERS, "extra_headers headers configurable_clientside_auth_params provider_affinity_header"),
    **_words(_PASS_THROUGH, "use_in_pass_through use_litellm_proxy"),
    **_words(_PROVIDER, "api_version organization azure_ad_token tenant_id client_id client_secret vertex_project",
             "vertex_location vertex_credentials watsonx_region_name aws_access_key_id aws_secret_access_key",
             "aws_session_token aws_region_name aws_session_name aws_profile_name aws_role_name",
             "aws_web_identity_token aws_bedrock_runtime_endpoint s3_bucket_name s3_region_name s3_access_key_id",
             "s3_secret_access_key aws_batch_role_arn gcs_bucket_name base_url"),
    **_words(_INSIDE, "mock_timeout litellm_trace_id keepalive_seconds ssl_verify"),
}  # fmt: skip
_MODEL_INFO = {
    **_words(_VIRTUAL_KEYS, "access_groups team_id team_public_model_name supported_environments blocked"),
    **_words(_PRICE, "input_cost_per_token output_cost_per_token base_model tier"),
    **_words(_HEALTH, "health_check_model health_check_timeout disable_background_health_check"),
}
_RELIABILITY = {
    **_words(_FALLBACK_KIND, "context_window_fallbacks content_policy_fallbacks"),
    **_words(_BREAKER, "allowed_fails_policy disable_cooldowns"),
    **_words(_RETRY_KIND, "retry_policy model_group_retry_policy retry_after max_fallbacks"),
    **_words(_PRE_CALL, "enable_pre_call_checks enable_pre_call_check optional_pre_call_checks"),
}
_LITELLM = {
    **_RELIABILITY,
    **_words(_CALLBACK, "success_callback failure_callback callbacks service_callbacks langfuse_default_tags telemetry",
             "callback_settings"),
    **_words(_LOG, "turn_off_message_logging redact_user_api_key_info set_verbose json_logs store_audit_logs",
             "redact_messages_in_exceptions"),
    **_words(_CACHE, "cache cache_params"),
    **_words(_REWRITE, "drop_params modify_params enable_json_schema_validation disable_hf_tokenizer_download",
             "disable_add_transform_inline_image_block disable_copilot_system_to_assistant",
             "LITELLM_DISABLE_STOP_SEQUENCE_LIMIT",
             "use_chat_completions_url_for_anthropic_messages enable_preview_features"),
    **_words(_BUDGET, "max_budget budget_duration max_internal_user_budget max_end_user_budget"),
    **_words(_PRICE, "disable_end_user_cost_tracking disable_end_user_cost_tracking_prometheus_only"),
    **_words(_VIRTUAL_KEYS, "key_generation_settings upperbound_key_generate_params default_key_generate_params",
             "enable_key_alias_format_validation default_internal_user_params"),
    **_words(_TEAMS, "default_team_settings default_team_params"),
    **_words(_MEDIA, "mcp_aliases"),
    **_words(_GUARDRAILS, "guardrails"),
    **_words(_INSIDE, "force_ipv4 ssl_verify"),
}  # fmt: skip
_ROUTER = {
    **_RELIABILITY,
    **_words(_STRATEGY, "routing_strategy routing_strategy_args routing_groups enable_tag_filtering",
             "tag_filtering_match_any weights tag_routing_prefix"),
    **_words(_AFFINITY, "deployment_affinity_ttl_seconds model_group_affinity_config"),
    **_words(_BUDGET, "provider_budget_config"),
    **_words(_CACHE, "cache_responses cache_kwargs caching_groups cache_params"),
    **_words(_PARAMETER, "default_litellm_params"),
    **_words(_LIMITS, "default_priority polling_interval"),
    **_words(_ALERTS, "alerting_config"),
    **_words(_LOG, "set_verbose debug_level"),
    **_words(_MEDIA, "assistants_config search_tools"),
    **_words(_GUARDRAILS, "guardrail_list"),
    **_words(_INSIDE, "client_ttl router_general_settings ignore_invalid_deployments"),
}  # fmt: skip
_GENERAL = {
    **_words(_DEFAULT_MODEL, "completion_model image_generation_model embedding_model moderation_model",
             "infer_model_from_keys"),
    **_words(_DATABASE, "database_url database_connection_pool_limit database_connection_timeout database_type",
             "database_args allow_requests_on_db_unavailable store_model_in_db supported_db_objects disable_spend_logs",
             "disable_spend_updates disable_reset_budget disable_adding_master_key_hash_to_db",
             "disable_prisma_schema_update proxy_budget_rescheduler_min_time proxy_budget_rescheduler_max_time",
             "proxy_batch_write_at proxy_batch_polling_interval maximum_spend_logs_retention_period",
             "maximum_spend_logs_retention_interval store_prompts_in_spend_logs"),
    **_words(_VIRTUAL_KEYS, "custom_key_generate default_team_disabled user_api_key_cache_ttl service_account_settings",
             "litellm_key_header_name"),
    **_words(_LOGIN, "enable_jwt_auth litellm_jwtauth enable_oauth2_auth enable_oauth2_proxy_auth",
             "oauth2_config_mappings allow_user_auth custom_sso"),
    **_words(_CUSTOM_CODE, "custom_auth"),
    **_words(_ALERTS, "alerting alerting_threshold alerting_args alert_types alert_to_webhook_url",
             "spend_report_frequency"),
    **_words(_PATHS, "allowed_routes public_routes admin_only_routes allowed_ips use_x_forwarded_for"),
    **_words(_PASS_THROUGH, "pass_through_endpoints use_client_credentials_pass_through_routes"),
    **_words(_HEADERS, "forward_client_headers_to_llm_api forward_openai_org_id allow_client_side_credentials"),
    **_words(_REWRITE, "enforce_user_param enforced_params reject_clientside_metadata_tags"),
    **_words(_RETRY_KIND, "disable_retry_on_max_parallel_request_limit_error"),
    **_words(_SECRETS, "key_management_system key_management_settings use_azure_key_vault use_google_kms"),
    **_words(_SIZES, "max_request_size_mb max_response_size_mb"),
    **_words(_HEALTH, "health_check_details health_check_interval"),
    **_words(_MEDIA, "disable_responses_id_security user_mcp_management_mode"),
    **_words(_UI, "disable_master_key_return ui_access_mode litellm_license"),
}  # fmt: skip
_WHOLE_SECTIONS = {
    **_words(_ENVIRONMENT, "environment_variables"),
    **_words(_CALLBACK, "callback_settings"),
    **_words(_PROVIDER, "credential_list"),
    **_words(_MEDIA, "mcp_servers mcp_tools finetune_settings files_settings assistant_settings vector_store_registry",
             "search_tools prompts"),
    **_words(_GUARDRAILS, "guardrails policies"),
}  # fmt: skip
MEANINGS: Mapping[str, Mapping[str, Meaning]] = {
    "litellm_settings": _LITELLM,
    "router_settings": _ROUTER,
    "general_settings": _GENERAL,
    "litellm_params": _DEPLOYMENT,
    "model_info": _MODEL_INFO,
}
"""Section -> key -> what it means."""
_OTHERWISE = {"litellm_params": _PARAMETER, "model_info": _MODEL_FACT}
"""Sections that take any key: LiteLLM passes it to the engine, or tells it."""


def meaning_of(path: Path) -> tuple[Path, Meaning]:
    """(the key that is meant, which all below it belongs to; what it does)."""
    section = str(path[0])
    if section in _WHOLE_SECTIONS:
        return path[: 2 if section == "environment_variables" else 3], _WHOLE_SECTIONS[section]
    depth = 1
    if section == "model_list" and len(path) > 3:
        section, depth = str(path[2]), 3
    known = MEANINGS.get(section)
    if known is None or len(path) <= depth:
        return path[:3], UNKNOWN
    return path[: depth + 1], known.get(str(path[depth]), _OTHERWISE.get(section, UNKNOWN))
