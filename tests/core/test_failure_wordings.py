# ruff: noqa: E501  # one wording a line reads as a table
"""How providers word their errors, from their documentation and changelogs: each wording has its class.

Texts are ours, after the wording that a provider documents: OpenAI, Anthropic, Google, Mistral, Groq, Together,
OpenRouter, xAI, DeepSeek, Cohere, Bedrock, Azure, Perplexity, Ollama, llama.cpp, vLLM, Hugging Face, Model Studio
(Alibaba), Fireworks, Cerebras, Z.ai, Moonshot, MiniMax, Databricks.
"""

from __future__ import annotations

import json

import pytest

from router.core.classify import classify

WORDINGS = """
refused | openai | 429 | rate_limit_exceeded | Rate limit reached for gpt-4o in organization org-a on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000. Please try again in 2s.
refused | openai | 503 | - | The engine is currently overloaded, please try again later
refused | openai | 503 | slow_down | Slow Down
refused | anthropic | 529 | overloaded_error | Overloaded
refused | anthropic | 200 | overloaded_error | Overloaded
refused | anthropic | 429 | rate_limit_error | Extra usage is required for long context requests.
refused | gemini | 429 | RESOURCE_EXHAUSTED | Resource has been exhausted (e.g. check quota).
refused | gemini | 429 | RESOURCE_EXHAUSTED | You exceeded your current quota, please check your plan and billing details. Quota exceeded for metric: generate_content_free_tier_requests, limit: 10. Please retry in 34.07s.
refused | gemini | 503 | UNAVAILABLE | The model is overloaded. Please try again later.
refused | mistral | 429 | rate_limited | Requests rate limit exceeded
refused | mistral | 429 | 3505 | Service tier capacity exceeded for this model.
refused | groq | 498 | - | Flex tier capacity exceeded
refused | together | 503 | - | The server is currently overloaded
refused | openrouter | 429 | 429 | Rate limit exceeded: free-models-per-min.
refused | openrouter | 503 | 503 | No instances available
refused | cohere | 429 | - | You are using a Trial key, which is limited to 10 API calls / minute.
refused | bedrock | 429 | ThrottlingException | Too many tokens, please wait before trying again.
refused | bedrock | 429 | ThrottlingException | Too many requests, please wait before trying again.
refused | bedrock | 400 | ServiceQuotaExceededException | Your request exceeds the service quota for your account.
refused | azure | 429 | 429 | Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 26 seconds.
refused | azure | 429 | NoCapacity | The system is currently experiencing high demand and cannot process your request.
refused | ollama | 503 | - | server busy, please try again. maximum pending requests exceeded
refused | llamacpp | 503 | unavailable_error | Loading model
refused | huggingface | 503 | - | Model meta-llama/Llama-3 is currently loading
refused | huggingface | 424 | overloaded | Model is overloaded
refused | alibaba | 429 | insufficient_quota | Allocated quota exceeded, please increase your quota limit.
refused | alibaba | 429 | Throttling.RateQuota | Requests rate limit exceeded, please try again later.
refused | fireworks | 429 | - | Deployment overloaded, please try again later
refused | cerebras | 429 | token_quota_exceeded | Tokens per minute limit exceeded - too many tokens processed.
refused | cerebras | 429 | queue_exceeded | We're experiencing high traffic right now! Please try again soon.
refused | zai | 429 | 1302 | High concurrency usage of this API, please reduce concurrency or contact customer service to increase limits
refused | moonshot | 429 | engine_overloaded_error | The engine is currently overloaded, please try again later
refused | databricks | 429 | REQUEST_LIMIT_EXCEEDED | REQUEST_LIMIT_EXCEEDED: Exceeded workspace input tokens per minute rate limit for x.
out_of_quota | openai | 429 | insufficient_quota | You exceeded your current quota, please check your plan and billing details.
out_of_quota | openai | 400 | billing_hard_limit_reached | Billing hard limit has been reached
out_of_quota | openai | 429 | billing_not_active | Your account is not active, please check your billing details on our website.
out_of_quota | anthropic | 402 | billing_error | There's an issue with your billing or payment information.
out_of_quota | anthropic | 400 | invalid_request_error | You have reached your specified API usage limits. You will regain access on 2026-01-01 at 00:00 UTC.
out_of_quota | groq | 429 | rate_limit_exceeded | Rate limit reached for model `llama-3.3-70b-versatile` in organization `org_1` service tier `on_demand` on tokens per day (TPD): Limit 100000, Used 99800, Requested 600. Please try again in 5m45s.
out_of_quota | together | 402 | credit_limit | Credit limit exceeded, please navigate to billing to add credits
out_of_quota | openrouter | 402 | 402 | This request requires more credits, or fewer max_tokens. You requested up to 4000 tokens, but can only afford 100.
out_of_quota | openrouter | 429 | 429 | Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day
out_of_quota | xai | 429 | Some resource has been exhausted | Your team a has either used all available credits or reached its monthly spending limit.
out_of_quota | xai | 403 | The caller does not have permission to execute the specified operation | Your newly created teams doesn't have any credits yet. You can purchase credits
out_of_quota | deepseek | 402 | invalid_request_error | Insufficient Balance
out_of_quota | cohere | 429 | - | You are using a Trial key, which is limited to 1000 API calls / month. You can continue to use the Trial key for free or upgrade
out_of_quota | bedrock | 429 | ThrottlingException | Too many tokens per day, please wait before trying again.
out_of_quota | perplexity | 401 | - | You exceeded your current quota. please check your plan and billing details.
out_of_quota | huggingface | 402 | - | You have exceeded your monthly included credits for Inference Providers.
out_of_quota | alibaba | 400 | Arrearage | Access denied, please make sure your account is in good standing.
out_of_quota | alibaba | 403 | AllocationQuota.FreeTierOnly | The free tier of the model has been exhausted.
out_of_quota | fireworks | 412 | - | Account x is suspended, possibly due to reaching the monthly spending limit or failure to pay past invoices.
out_of_quota | cerebras | 429 | token_quota_exceeded | Tokens per day limit exceeded - too many tokens processed.
out_of_quota | cerebras | 402 | - | Payment required
out_of_quota | zai | 429 | 1113 | Insufficient balance or no resource package. Please recharge.
out_of_quota | moonshot | 429 | exceeded_current_quota_error | Your account is suspended, please check your plan and billing details
out_of_quota | minimax | 200 | 1008 | insufficient balance
too_long | openai | 429 | rate_limit_exceeded | Request too large for gpt-4o in organization org-a on tokens per min (TPM): Limit 30000, Requested 45000. The input or output tokens must be reduced in order to run successfully.
too_long | anthropic | 413 | request_too_large | Request exceeds the maximum size
too_long | anthropic | 400 | invalid_request_error | prompt is too long: 210000 tokens > 200000 maximum
too_long | anthropic | 400 | invalid_request_error | input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again
too_long | gemini | 400 | INVALID_ARGUMENT | The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).
too_long | gemini | 400 | INVALID_ARGUMENT | Request payload size exceeds the limit: 20971520 bytes.
too_long | mistral | 400 | 3051 | Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length
too_long | groq | 413 | rate_limit_exceeded | Request too large for model `llama-3.1-8b-instant` in organization `org_1` service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 9000, please reduce your message size and try again.
too_long | groq | 400 | context_length_exceeded | Please reduce the length of the messages or completion.
too_long | together | 422 | - | Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000 `inputs` tokens and 512 `max_new_tokens`
too_long | openrouter | 400 | 400 | This endpoint's maximum context length is 131072 tokens. However, you requested about 150000 tokens.
too_long | xai | 400 | Client specified an invalid argument | This model's maximum prompt length is 131072 but the request contains 140000 tokens.
too_long | cohere | 400 | - | too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000.
too_long | bedrock | 400 | ValidationException | Input is too long for requested model.
too_long | llamacpp | 400 | exceed_context_size_error | the request exceeds the available context size, try increasing it
too_long | vllm | 400 | BadRequestError | This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the messages, 1000 in the completion).
too_long | huggingface | 422 | validation | Input validation error: `inputs` must have less than 1024 tokens. Given: 1500
too_long | alibaba | 400 | InvalidParameter | Range of input length should be [1, 30720]
too_long | fireworks | 400 | invalid_request_error | The prompt is too long: 140000, model maximum context length: 131071
too_long | cerebras | 400 | context_length_exceeded | Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192
too_long | moonshot | 400 | invalid_request_error | Invalid request: Your request exceeded model token limit: 131072
too_long | minimax | 200 | 2013 | invalid params, context window exceeds limit
no_such_model | openai | 403 | unsupported_country_region_territory | Country, region, or territory not supported
no_such_model | openai | 404 | - | This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to use v1/completions?
no_such_model | openai | 403 | model_not_found | Project `proj_a` does not have access to model `gpt-5`
no_such_model | gemini | 400 | FAILED_PRECONDITION | User location is not supported for the API use.
no_such_model | vertex | 404 | NOT_FOUND | Publisher Model `projects/p/locations/us-central1/publishers/google/models/gemini-9` was not found or your project does not have access to it.
no_such_model | mistral | 400 | invalid_model | Invalid model: mistral-huge
no_such_model | groq | 400 | model_decommissioned | The model `mixtral-8x7b-32768` has been decommissioned and is no longer supported.
no_such_model | groq | 400 | model_terms_required | The model `x` requires terms acceptance. Please have the org admin accept the terms
no_such_model | together | 404 | model_not_available | Unable to access model x. Please visit https://api.together.ai/models to see the list of supported models.
no_such_model | together | 400 | model_not_available | Unable to access non-serverless model x. Please visit to create and start a new dedicated endpoint for the model.
no_such_model | openrouter | 404 | 404 | No endpoints found matching your data policy. Enable prompt training here: https://openrouter.ai/settings/privacy
no_such_model | xai | 404 | Some requested entity was not found | The model grok-9 does not exist or your team a does not have access to it.
no_such_model | deepseek | 400 | invalid_request_error | Model Not Exist
no_such_model | bedrock | 400 | ValidationException | Invocation of model ID anthropic.claude-sonnet-4-5-20250929-v1:0 with on-demand throughput isn't supported. Retry your request with the ID or ARN of an inference profile that contains this model.
no_such_model | bedrock | 403 | AccessDeniedException | You don't have access to the model with the specified model ID.
no_such_model | azure | 404 | DeploymentNotFound | The API deployment for this resource does not exist.
no_such_model | azure | 404 | 404 | Resource not found
no_such_model | azure | 400 | OperationNotSupported | The chatCompletion operation does not work with the specified model, text-embedding-3-small. Please choose different model and try again.
no_such_model | perplexity | 400 | invalid_model | Invalid model 'x'. Permitted models can be found in the documentation
no_such_model | ollama | 404 | - | model "llama9" not found, try pulling it first
no_such_model | vllm | 404 | NotFoundError | The model `x` does not exist.
no_such_model | huggingface | 400 | - | The requested model 'x' is not supported by any provider you have enabled.
no_such_model | alibaba | 404 | ModelNotFound | Model can not be found.
no_such_model | alibaba | 403 | AccessDenied.Unpurchased | Access to model denied. Please make sure you are eligible for using the model.
no_such_model | fireworks | 404 | NOT_FOUND | Model not found, inaccessible, and/or not deployed
unsupported | openai | 400 | unsupported_value | Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported.
unsupported | openai | 400 | unsupported_parameter | Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.
unsupported | openai | 400 | invalid_value | max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.
unsupported | openai | 400 | unsupported_value | Your organization must be verified to stream this model.
unsupported | anthropic | 400 | invalid_request_error | max_tokens: 10000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-haiku
unsupported | anthropic | 400 | invalid_request_error | `temperature` may only be set to 1 when thinking is enabled.
unsupported | gemini | 400 | INVALID_ARGUMENT | Function calling is not enabled for models/gemma-3-27b-it
unsupported | gemini | 400 | INVALID_ARGUMENT | Developer instruction is not enabled for models/gemma-3-27b-it
unsupported | openrouter | 404 | 404 | No endpoints found that support image input
unsupported | xai | 400 | Client specified an invalid argument | Model grok-4 does not support parameter presencePenalty.
unsupported | deepseek | 400 | invalid_request_error | Failed to deserialize the JSON body into the target type: messages[0]: unknown variant `image_url`, expected `text` at line 1 column 100
unsupported | deepseek | 400 | invalid_request_error | deepseek-reasoner does not support Function Calling
unsupported | bedrock | 400 | ValidationException | This model doesn't support tool use in streaming mode.
unsupported | ollama | 400 | - | registry.ollama.ai/library/gemma3:latest does not support tools
unsupported | ollama | 400 | - | "llama3" does not support thinking
unsupported | ollama | 400 | - | invalid think value: "max" (must be "high", "medium", "low", true, or false)
unsupported | llamacpp | 500 | server_error | tools param requires --jinja flag
unsupported | vllm | 400 | BadRequestError | "auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set
unsupported | vllm | 400 | BadRequestError | x is not a multimodal model
unsupported | vllm | 400 | BadRequestError | At most 1 image(s) may be provided in one prompt.
unsupported | vllm | 400 | BadRequestError | As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template if the tokenizer does not define one.
unsupported | alibaba | 400 | InvalidParameter | parameter.enable_thinking must be set to false for non-streaming calls
unsupported | alibaba | 400 | InvalidParameter | This model only support stream mode, please enable the stream parameter to access the model.
invalid | openai | 400 | - | An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.
invalid | openai | 400 | - | Invalid 'messages[1].role': expected one of 'system', 'assistant', 'user'.
invalid | anthropic | 400 | invalid_request_error | messages: roles must alternate between "user" and "assistant", but found multiple "user" roles in a row
invalid | anthropic | 400 | invalid_request_error | messages.1.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1. Each `tool_result` block must have a corresponding `tool_use` block in the previous message.
invalid | gemini | 400 | INVALID_ARGUMENT | Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.
invalid | gemini | 400 | INVALID_ARGUMENT | * GenerateContentRequest.contents: contents is not specified
invalid | mistral | 400 | 3230 | Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant
invalid | cohere | 400 | - | invalid request: message must be at least 1 token long or tool results must be specified.
invalid | bedrock | 400 | ValidationException | Malformed input request: #: required key [messages] not found, please reformat your input and try again.
invalid | perplexity | 400 | invalid_message | Last message must have role `user` or `tool`.
invalid | alibaba | 400 | invalid_parameter_error | 'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.
invalid | zai | 400 | 1214 | messages 参数非法。请检查文档。
invalid | any | 418 | - | I'm a teapot
invalid | anthropic | 400 | invalid_request_error | messages.3.content.8: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. These blocks must remain as they were in the original response.
refused | gemini | 429 | RESOURCE_EXHAUSTED | You have exhausted your capacity on this model. Your quota will reset after 26s.
refused | moonshot | 429 | rate_limit_reached_error | Your account a / proj-b request reached project TPM rate limit, current: 1410, limit: 100
unsupported | deepinfra | 405 | 405 | Tool calling is not supported for model: mistralai/Mistral-Small-24B
denied | openai | 401 | invalid_api_key | Incorrect API key provided: x. You can find your API key at https://platform.openai.com/account/api-keys.
denied | openai | 401 | - | You must be a member of an organization to use the API
denied | anthropic | 403 | permission_error | Your API key does not have permission to use the specified resource.
denied | anthropic | 401 | authentication_error | OAuth token has expired. Please obtain a new token or refresh your existing token.
denied | anthropic | 403 | forbidden | Request not allowed
denied | gemini | 403 | PERMISSION_DENIED | Generative Language API has not been used in project 1 before or it is disabled.
denied | gemini | 403 | PERMISSION_DENIED | Your API key was reported as leaked. Please use another API key.
denied | gemini | 400 | INVALID_ARGUMENT | API key expired. Please renew the API key.
denied | mistral | 401 | - | Unauthorized
denied | groq | 400 | organization_restricted | Organization has been restricted. Please reach out to support if you believe this was in error.
denied | openrouter | 401 | 401 | No auth credentials found
denied | openrouter | 401 | 401 | User not found.
denied | xai | 400 | Client specified an invalid argument | Incorrect API key provided: xai-abcd. You can obtain an API key from https://console.x.ai.
denied | deepseek | 401 | authentication_error | Authentication Fails, Your api key: ****abcd is invalid
denied | cohere | 401 | - | invalid api token
denied | cohere | 498 | - | invalid token
denied | bedrock | 403 | ExpiredTokenException | The security token included in the request is expired
denied | bedrock | 403 | AccessDeniedException | User: arn:aws:iam::1:user/a is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:us-east-1::foundation-model/x
denied | azure | 401 | 401 | Access denied due to invalid subscription key or wrong API endpoint.
denied | llamacpp | 401 | authentication_error | Invalid API Key
denied | huggingface | 403 | - | This authentication method does not have sufficient permissions to call Inference Providers on behalf of user x
denied | huggingface | 401 | - | Invalid credentials in Authorization header
denied | alibaba | 401 | InvalidApiKey | Invalid API-key provided.
denied | fireworks | 403 | - | unauthorized
denied | cerebras | 401 | wrong_api_key | Wrong API Key
denied | databricks | 403 | PERMISSION_DENIED | The endpoint x is disabled due to a rate limit set to 0.
filtered | openai | 400 | invalid_prompt | Invalid prompt: your prompt was flagged as potentially violating our usage policy.
filtered | openai | 400 | content_policy_violation | Your request was rejected as a result of our safety system.
filtered | anthropic | 400 | invalid_request_error | Output blocked by content filtering policy
filtered | openrouter | 403 | 403 | Your chosen model requires moderation and your input was flagged
filtered | deepseek | 400 | invalid_request_error | Content Exists Risk
filtered | azure | 400 | content_filter | The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry.
filtered | alibaba | 400 | DataInspectionFailed | Input data may contain inappropriate content.
filtered | zai | 400 | 1301 | System detected potentially unsafe or sensitive content in input or generation.
filtered | moonshot | 400 | content_filter | The request was rejected because it was considered high risk
server_error | openai | 500 | server_error | The server had an error while processing your request. Sorry about that!
server_error | anthropic | 200 | api_error | Internal server error
server_error | anthropic | 504 | timeout_error | The request timed out while processing.
server_error | gemini | 500 | INTERNAL | An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting
server_error | gemini | 504 | DEADLINE_EXCEEDED | The request timed out. Please try again.
server_error | bedrock | 424 | ModelErrorException | The system encountered an unexpected error during processing. Try your request again.
server_error | ollama | 500 | - | model requires more system memory (9.0 GiB) than is available (4.0 GiB)
server_error | ollama | 500 | - | llama runner process has terminated: exit status 2
server_error | alibaba | 500 | InternalError.Timeout | Request timeout.
server_error | any | 502 | - | Bad gateway
server_error | any | 500 | - | Internal Server Error
server_error | any | - | - | something
timed_out | bedrock | 408 | ModelTimeoutException | The request took too long to process. Processing time exceeded the model timeout length.
unusable | groq | 400 | json_validate_failed | Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details.
"""
"""Class, provider, status, code, message."""

CASES = [tuple(cell.strip() for cell in line.split(" | ")) for line in WORDINGS.strip().splitlines()]


@pytest.mark.parametrize(("kind", "provider", "status", "code", "message"), CASES)
def test_a_documented_wording_has_its_class(kind: str, provider: str, status: str, code: str, message: str) -> None:
    """An error as its provider documents it gets the class that says what may follow, whatever the body's shape."""
    http = int(status) if status.isdigit() else None
    error = {"message": message} if code == "-" else {"code": code, "message": message}
    quoted = json.dumps({"error": error})
    for body in (
        quoted,
        json.dumps([{"error": error}]),
        json.dumps(error),
        f"event: error\ndata: {quoted}\n\n",
        json.dumps({"error": {"message": "Provider returned error", "metadata": {"raw": quoted}}}),
    ):
        assert classify(provider=provider, status=http, headers={}, body=body).kind == kind
