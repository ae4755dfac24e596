package dev.lorikeet.memory;

/** What a page is used for; kept by the pool for accounting alone. */
public enum PageOwner {
  /** Keys and values of running sequences. */
  KV_CACHE,
  /** Weights of resident adapters. */
  ADAPTER,
  /** Anything else. */
  OTHER
}
