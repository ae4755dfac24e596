package dev.lorikeet.jlama.hub;

import dev.lorikeet.files.Faults;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The body of an answer, with what its head says of it. For one thread. */
final class HubBody implements AutoCloseable {
  private static final Pattern RANGE =
      Pattern.compile("bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\\*)");

  private final String source;
  private final HttpResponse<InputStream> response;
  private final InputStream bytes;
  private final Duration stall;
  private final StallGuard guard;

  HubBody(HttpResponse<InputStream> response, Duration stall) {
    this.source = HubFaults.shown(response.uri());
    this.response = response;
    this.bytes = response.body();
    this.stall = stall;
    this.guard = new StallGuard(bytes, stall);
  }

  /**
   * Checks the head of the answer to a request for a file.
   *
   * @param asked the offset asked for
   * @param size the file's size as listed
   * @return the offset at which the body begins: the one asked for, or 0
   */
  long offset(long asked, long size) {
    if (response.statusCode() == 200) {
      long length = response.headers().firstValueAsLong("Content-Length").orElse(size);
      if (length != size) {
        throw Faults.MODEL.invalid(source + ": Content-Length", size + " as listed", length);
      }
      return 0;
    }
    String range = response.headers().firstValue("Content-Range").orElse("nothing");
    Matcher parts = RANGE.matcher(range);
    if (!parts.matches()
        || !part(parts, 1).equals(Long.toString(asked))
        || !(part(parts, 2).equals("*") || part(parts, 2).equals(Long.toString(size)))) {
      throw Faults.MODEL.invalid(
          source + ": Content-Range", "bytes from " + asked + " of " + size + " as listed", range);
    }
    return asked;
  }

  private static String part(Matcher parts, int group) {
    return Optional.ofNullable(parts.group(group)).orElse("");
  }

  /** Reads some bytes; returns how many, or -1 at the end. */
  int read(byte[] buffer) throws IOException {
    try {
      int count = bytes.read(buffer);
      guard.progress();
      return count;
    } catch (IOException e) {
      if (Thread.currentThread().isInterrupted()) {
        throw HubFaults.cancelled(source);
      }
      String what = guard.stalled() ? "nothing came for " + stall.toSeconds() + " s" : e.toString();
      throw new IOException(source + ": " + what, e);
    }
  }

  /** Reads all, up to a limit. */
  byte[] readAll(int limit) throws IOException {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    byte[] buffer = new byte[1 << 16];
    for (int count = read(buffer); count >= 0; count = read(buffer)) {
      all.write(buffer, 0, count);
      if (all.size() > limit) {
        throw Faults.MODEL.invalid(source, "at most " + limit + " bytes", "more");
      }
    }
    return all.toByteArray();
  }

  String source() {
    return source;
  }

  @Override
  public void close() throws IOException {
    guard.close();
    bytes.close();
  }
}
