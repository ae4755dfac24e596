package dev.lorikeet;

import java.util.Objects;

/**
 * The one exception type of Lorikeet's contracts. The {@link #code()} is stable and fit for
 * programs; the message names the file, key or parameter at fault, what was found and what was
 * expected. Misuse of an API by a programmer (a null, an index out of range, use after close) is
 * reported by the JDK's own {@link IllegalArgumentException}, {@link IndexOutOfBoundsException} and
 * {@link IllegalStateException} instead.
 */
public final class LorikeetException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** What went wrong, in a word that stays the same across versions. */
  public enum Code {
    /** A parameter of a request is out of its range. */
    INVALID_REQUEST,
    /** No adapter of that name is registered, here, or where it could be downloaded from. */
    ADAPTER_NOT_FOUND,
    /** The files of an adapter are damaged, hostile or do not fit the base model. */
    ADAPTER_INVALID,
    /** The adapter uses a feature that Lorikeet does not support yet. */
    ADAPTER_UNSUPPORTED,
    /** No base model of that name is here or where it could be downloaded from. */
    MODEL_NOT_FOUND,
    /** The files of a base model are damaged, hostile or incomplete. */
    MODEL_INVALID,
    /** The base model is of a family or uses a feature that the plugin does not support. */
    MODEL_UNSUPPORTED,
    /** Network, access or disk kept a download from its end; the same call may go on later. */
    DOWNLOAD_FAILED,
    /** The page pool has no room now; the same call may succeed later. */
    POOL_EXHAUSTED,
    /** The request or adapter can never fit in the page pool. */
    TOO_LARGE,
    /** The waiting queue is full. */
    QUEUE_FULL,
    /** The request waited longer than it allowed. */
    QUEUE_TIMEOUT,
    /** The request cannot finish, or did not finish, before its deadline. */
    DEADLINE_EXCEEDED,
    /** A router failed or produced an unusable decision. */
    ROUTER_FAILED,
    /** The request was cancelled. */
    CANCELLED,
    /** No plugin of that kind or name can be used here. */
    PLUGIN_UNAVAILABLE,
    /** The model, store or pool was closed. */
    CLOSED,
    /** A defect in Lorikeet or in a plugin. */
    INTERNAL
  }

  private final Code code;

  /** Creates an exception with a stable code and a message for people. */
  public LorikeetException(Code code, String message) {
    super(message);
    this.code = Objects.requireNonNull(code, "code");
  }

  /** Creates an exception with a stable code, a message for people and the failure behind it. */
  public LorikeetException(Code code, String message, Throwable cause) {
    super(message, cause);
    this.code = Objects.requireNonNull(code, "code");
  }

  @Override
  public String getMessage() {
    return String.valueOf(super.getMessage());
  }

  /** Returns the stable code. */
  public Code code() {
    return code;
  }
}
