package dev.lorikeet;

import java.io.IOException;
import java.nio.channels.ClosedByInterruptException;
import java.util.Locale;
import java.util.Objects;
import java.util.concurrent.ThreadLocalRandom;

/**
 * The one exception type that an application meets: whatever goes wrong in a call of the API, in a
 * request or on the way to open something is one of these, with a {@link #code()} that is stable
 * and fit for programs, and a message that names the file, key or parameter at fault, what was
 * found and what was expected. Only a null where none is allowed is a {@link NullPointerException},
 * and an {@link Error} of the JVM itself stays one.
 *
 * <p>Every failure has an {@link #id()}, which its log lines and its span carry as well. An
 * exception that was caused by another one tells of the same failure and has its id.
 *
 * <p>Contracts between plugins use the JDK's own {@link IllegalArgumentException} and {@link
 * IllegalStateException} where the specification says so; the API turns them into this one.
 */
public final class LorikeetException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** What went wrong, in a word that stays the same across versions. */
  public enum Code {
    /** A parameter of a request, or of another call, is out of its range. */
    INVALID_REQUEST,
    /** A setting of the builder, of a plugin or of a router is unknown or out of its range. */
    INVALID_CONFIG,
    /** No adapter of that name is registered, here, or where it could be downloaded from. */
    ADAPTER_NOT_FOUND,
    /** The files of an adapter are damaged, hostile or do not fit the base model. */
    ADAPTER_INVALID,
    /** The adapter uses a feature that Lorikeet does not support yet. */
    ADAPTER_UNSUPPORTED,
    /** No base model of that name is here or where it could be downloaded from. */
    MODEL_NOT_FOUND,
    /**
     * The files of a base model are damaged, hostile or incomplete, or changed while they were
     * used.
     */
    MODEL_INVALID,
    /** The base model is of a family or uses a feature that the plugin does not support. */
    MODEL_UNSUPPORTED,
    /** Examples to learn from are damaged, or do not fit the model or the task. */
    DATA_INVALID,
    /**
     * Network or access kept a download from its end, or a file could not be written; the same call
     * may go on later.
     */
    DOWNLOAD_FAILED,
    /** A file system has no space left; the same call may succeed once there is. */
    STORAGE_FULL,
    /** A file could not be read or written, whatever is in it. */
    IO_FAILED,
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
    /**
     * The model computed no probabilities for the request: NaN or infinity in its logits, from
     * weights, an adapter or a mixture that overflow.
     */
    NOT_FINITE,
    /** The request was cancelled, or the thread interrupted that waited or read files. */
    CANCELLED,
    /**
     * An observer or a router, on the decoding thread, made a call that waits for that thread, and
     * would have waited for ever.
     */
    WRONG_THREAD,
    /** No plugin of that kind or name can be used here. */
    PLUGIN_UNAVAILABLE,
    /** The model, store, pool or group was closed. */
    CLOSED,
    /**
     * A process that shares the work has failed, ended without a word or said nothing for too long,
     * or could not be reached.
     */
    MEMBER_LOST,
    /** A defect in Lorikeet or in a plugin, or an {@link Error} of the JVM in one of them. */
    INTERNAL
  }

  private static final int ID_DIGITS = 8;
  private static final int ID_RADIX = 32;

  private final Code code;
  private final String id;

  /** Creates an exception with a stable code and a message for people. */
  public LorikeetException(Code code, String message) {
    super(message);
    this.code = Objects.requireNonNull(code, "code");
    this.id = newId();
  }

  /** Creates an exception with a stable code, a message for people and the failure behind it. */
  public LorikeetException(Code code, String message, Throwable cause) {
    super(message, cause);
    this.code = Objects.requireNonNull(code, "code");
    this.id = cause instanceof LorikeetException known ? known.id : newId();
  }

  /**
   * Returns the failure of reading or writing files, with code {@code STORAGE_FULL} if there is no
   * space left, {@code CANCELLED} if the thread was interrupted and {@code IO_FAILED} otherwise.
   *
   * @param doing what was being done, such as {@code writing gate.safetensors}
   */
  public static LorikeetException ofFiles(String doing, IOException cause) {
    if (cause instanceof ClosedByInterruptException) {
      return new LorikeetException(Code.CANCELLED, doing + ": interrupted", cause);
    }
    boolean full = isFull(cause);
    return new LorikeetException(
        full ? Code.STORAGE_FULL : Code.IO_FAILED,
        doing + (full ? ": expected room on the disk, found none: " : " failed: ") + cause,
        cause);
  }

  /** The JDK has no exception of its own for it; these are the words of the systems. */
  private static boolean isFull(Throwable cause) {
    String message = String.valueOf(cause.getMessage()).toLowerCase(Locale.ROOT);
    return message.contains("no space left")
        || message.contains("quota exceeded")
        || message.contains("not enough space");
  }

  private static String newId() {
    long digits = ThreadLocalRandom.current().nextLong(1L << 5 * ID_DIGITS);
    String text = Long.toString(digits, ID_RADIX);
    return "0".repeat(ID_DIGITS - text.length()) + text;
  }

  @Override
  public String getMessage() {
    return String.valueOf(super.getMessage());
  }

  /** Returns the stable code. */
  public Code code() {
    return code;
  }

  /**
   * Returns what tells this failure from all others in logs and traces: 8 lower-case letters and
   * digits, drawn at random, the same for all exceptions that tell of one failure.
   */
  public String id() {
    return id;
  }

  /** Returns code, id and message. */
  @Override
  public String toString() {
    return getClass().getName() + ": " + code + " [" + id + "]: " + getMessage();
  }
}
