"""Keys of LiteLLM's proxy configuration, as its page "All settings" and its types for deployments name them."""

from __future__ import annotations

from typing import Any


def _words(text: str) -> list[str]:
    return text.split()


LITELLM_SETTINGS = _words("""
success_callback failure_callback callbacks service_callbacks turn_off_message_logging modify_params
enable_preview_features LITELLM_DISABLE_STOP_SEQUENCE_LIMIT redact_user_api_key_info mcp_aliases langfuse_default_tags
set_verbose json_logs default_fallbacks request_timeout force_ipv4 content_policy_fallbacks context_window_fallbacks
cache cache_params disable_end_user_cost_tracking disable_end_user_cost_tracking_prometheus_only
key_generation_settings disable_add_transform_inline_image_block use_chat_completions_url_for_anthropic_messages
disable_hf_tokenizer_download enable_json_schema_validation enable_key_alias_format_validation
disable_copilot_system_to_assistant drop_params num_retries fallbacks allowed_fails cooldown_time telemetry
default_team_settings max_budget budget_duration
""")
GENERAL_SETTINGS = _words("""
completion_model disable_spend_logs disable_spend_updates disable_master_key_return
disable_retry_on_max_parallel_request_limit_error disable_reset_budget disable_adding_master_key_hash_to_db
disable_responses_id_security enable_jwt_auth enforce_user_param reject_clientside_metadata_tags allowed_routes
key_management_system master_key database_url database_connection_pool_limit database_connection_timeout
allow_requests_on_db_unavailable custom_auth max_parallel_requests global_max_parallel_requests infer_model_from_keys
background_health_checks health_check_interval alerting alerting_threshold use_client_credentials_pass_through_routes
health_check_details public_routes alert_types enforced_params enable_oauth2_auth use_x_forwarded_for
service_account_settings image_generation_model store_model_in_db supported_db_objects user_mcp_management_mode
store_prompts_in_spend_logs max_request_size_mb max_response_size_mb proxy_budget_rescheduler_min_time
proxy_budget_rescheduler_max_time proxy_batch_write_at proxy_batch_polling_interval alerting_args custom_key_generate
allowed_ips embedding_model default_team_disabled alert_to_webhook_url key_management_settings allow_user_auth
user_api_key_cache_ttl disable_prisma_schema_update litellm_key_header_name moderation_model custom_sso
allow_client_side_credentials admin_only_routes use_azure_key_vault use_google_kms spend_report_frequency
ui_access_mode litellm_jwtauth litellm_license oauth2_config_mappings pass_through_endpoints enable_oauth2_proxy_auth
forward_openai_org_id forward_client_headers_to_llm_api maximum_spend_logs_retention_period
maximum_spend_logs_retention_interval
""")
ROUTER_SETTINGS = _words("""
routing_strategy redis_host redis_password redis_port redis_db enable_pre_call_check content_policy_fallbacks
fallbacks enable_tag_filtering tag_filtering_match_any cooldown_time disable_cooldowns retry_policy allowed_fails
allowed_fails_policy default_max_parallel_requests default_priority polling_interval max_fallbacks
default_litellm_params timeout stream_timeout debug_level client_ttl cache_kwargs routing_strategy_args
model_group_alias num_retries default_fallbacks caching_groups alerting_config assistants_config set_verbose
retry_after provider_budget_config enable_pre_call_checks model_group_retry_policy context_window_fallbacks redis_url
cache_responses router_general_settings optional_pre_call_checks deployment_affinity_ttl_seconds
ignore_invalid_deployments search_tools guardrail_list
""")
LITELLM_PARAMS = _words("""
model custom_llm_provider tpm rpm itpm otpm order weight max_parallel_requests api_key api_base api_version timeout
stream_timeout max_retries organization configurable_clientside_auth_params drop_params use_chat_completions_api
use_in_pass_through litellm_credential_name region_name vertex_project vertex_location aws_access_key_id
aws_secret_access_key aws_region_name watsonx_region_name input_cost_per_token output_cost_per_token
input_cost_per_second num_retries tags tag_regex max_budget budget_duration keepalive_seconds cooldown_time seed
temperature max_tokens top_p extra_headers extra_body
""")
MODEL_INFO = _words("""
id mode input_cost_per_token output_cost_per_token max_tokens max_input_tokens base_model tier team_id
team_public_model_name access_groups supported_environments custom_tokenizer supports_vision
""")
SECTIONS = {
    "litellm_settings": LITELLM_SETTINGS,
    "general_settings": GENERAL_SETTINGS,
    "router_settings": ROUTER_SETTINGS,
}
_VALUES: dict[str, Any] = {
    "fallbacks": [{"other": ["chat"]}],
    "context_window_fallbacks": [{"other": ["chat"]}],
    "content_policy_fallbacks": [{"other": ["chat"]}],
    "default_fallbacks": ["chat"],
    "model_group_alias": {"alias": "chat"},
    "routing_strategy": "least-busy",
    "model": "hosted_vllm/engine",
    "custom_llm_provider": "hosted_vllm",
    "litellm_credential_name": "shared",
    "api_base": "http://engine:8000/v1",
    "mode": "chat",
    "background_health_checks": True,
    "retry_policy": {"TimeoutErrorRetries": 3},
    "cache_params": {"type": "redis", "sentinel_nodes": [["localhost", 26379]]},
}


def value_of(key: str) -> Any:
    """One that LiteLLM takes; a number where the page names no other kind."""
    return _VALUES.get(key, 7)


def every_key() -> dict[str, Any]:
    """A configuration with every key at once."""
    other = {"model_name": "other", "litellm_params": {"model": "hosted_vllm/o", "api_base": "http://o:1/v1"}}
    full = {
        "model_name": "chat",
        "litellm_params": {key: value_of(key) for key in LITELLM_PARAMS},
        "model_info": {key: value_of(key) for key in MODEL_INFO},
    }
    shared = {"credential_name": "shared", "credential_values": {"api_key": "k"}, "credential_info": {"about": "it"}}
    return {
        "model_list": [full, other],
        **{section: {key: value_of(key) for key in keys} for section, keys in SECTIONS.items()},
        "environment_variables": {"REDIS_HOST": "r"},
        "callback_settings": {"otel": {"message_logging": False}},
        "credential_list": [shared],
        "finetune_settings": [{"custom_llm_provider": "openai"}],
        "files_settings": [{"custom_llm_provider": "openai"}],
        "mcp_servers": {"github": {"url": "https://example.org"}},
    }
