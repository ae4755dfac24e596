package dev.lorikeet.host.telemetry;

import io.opentelemetry.api.common.AttributeKey;
import java.util.List;

/**
 * Names of attributes: those of the OpenTelemetry semantic conventions for generative AI (status
 * "development", 2026) where they have one, {@code lorikeet.*} for the rest.
 */
final class Keys {
  static final AttributeKey<String> OPERATION = AttributeKey.stringKey("gen_ai.operation.name");
  static final AttributeKey<String> PROVIDER = AttributeKey.stringKey("gen_ai.provider.name");
  static final AttributeKey<String> REQUEST_MODEL = AttributeKey.stringKey("gen_ai.request.model");
  static final AttributeKey<Long> MAX_TOKENS = AttributeKey.longKey("gen_ai.request.max_tokens");
  static final AttributeKey<Double> TEMPERATURE =
      AttributeKey.doubleKey("gen_ai.request.temperature");
  static final AttributeKey<Double> TOP_P = AttributeKey.doubleKey("gen_ai.request.top_p");
  static final AttributeKey<Double> TOP_K = AttributeKey.doubleKey("gen_ai.request.top_k");
  static final AttributeKey<Long> SEED = AttributeKey.longKey("gen_ai.request.seed");
  static final AttributeKey<List<String>> STOP_SEQUENCES =
      AttributeKey.stringArrayKey("gen_ai.request.stop_sequences");
  static final AttributeKey<Long> INPUT_TOKENS = AttributeKey.longKey("gen_ai.usage.input_tokens");
  static final AttributeKey<Long> CACHED_TOKENS =
      AttributeKey.longKey("gen_ai.usage.cache_read.input_tokens");
  static final AttributeKey<Long> OUTPUT_TOKENS =
      AttributeKey.longKey("gen_ai.usage.output_tokens");
  static final AttributeKey<List<String>> FINISH_REASONS =
      AttributeKey.stringArrayKey("gen_ai.response.finish_reasons");
  static final AttributeKey<String> TOKEN_TYPE = AttributeKey.stringKey("gen_ai.token.type");
  static final AttributeKey<String> ERROR_TYPE = AttributeKey.stringKey("error.type");

  static final AttributeKey<List<String>> ADAPTERS =
      AttributeKey.stringArrayKey("lorikeet.adapters");
  static final AttributeKey<String> ERROR_ID = AttributeKey.stringKey("lorikeet.error.id");
  static final AttributeKey<String> ADAPTER = AttributeKey.stringKey("lorikeet.adapter");
  static final AttributeKey<String> ROUTER = AttributeKey.stringKey("lorikeet.router");
  static final AttributeKey<String> TENANT = AttributeKey.stringKey("lorikeet.tenant");
  static final AttributeKey<Long> PRIORITY = AttributeKey.longKey("lorikeet.priority");
  static final AttributeKey<Long> PREEMPTIONS = AttributeKey.longKey("lorikeet.preemptions");
  static final AttributeKey<Long> TOKENS = AttributeKey.longKey("lorikeet.tokens");
  static final AttributeKey<String> PAGE_OWNER = AttributeKey.stringKey("lorikeet.page.owner");
  static final AttributeKey<String> PHASE = AttributeKey.stringKey("lorikeet.phase");

  static final AttributeKey<String> SWITCHING = AttributeKey.stringKey("lorikeet.switching");

  private Keys() {}
}
