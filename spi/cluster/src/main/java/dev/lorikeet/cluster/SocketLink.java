package dev.lorikeet.cluster;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.lorikeet.LorikeetException;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SocketChannel;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantLock;

/** A link to another process. */
final class SocketLink implements Link {
  /*
   * Frames of a kind, a length and a body. Kinds below 0 are the link's own: a sign of life, credits for messages that
   * were taken, and the end with its reason. One thread reads all the time, into bodies that the inbox holds, so
   * whatever the members compute, signs of life are seen; the window bounds what it may have read ahead. Bodies are
   * written from where they lie and read into where they stay: the socket's own are the only copies.
   *
   * A member counts as lost when nothing came for a while, be it the part of a large message.
   */
  private static final int ALIVE = -1;
  private static final int CREDIT = -2;
  private static final int END = -3;
  private static final int HEADER_BYTES = 2 * Integer.BYTES;
  private static final int MOST_OWN_BYTES = 4096;

  private final Group group;
  private final int member;
  private final SocketChannel channel;
  private final GroupLimits limits;
  private final Bodies bodies = new Bodies();
  private final Credits credits;
  private final Thread reader;
  private final ReentrantLock writing = new ReentrantLock();
  private final ByteBuffer header = direct(HEADER_BYTES);
  private final AtomicInteger waiting = new AtomicInteger();
  private final AtomicInteger toCredit = new AtomicInteger();
  private volatile long heard = System.nanoTime();
  private volatile long said = System.nanoTime();
  private volatile boolean ended;

  SocketLink(Group group, int member, SocketChannel channel, GroupLimits limits) {
    this.group = group;
    this.member = member;
    this.channel = channel;
    this.limits = limits;
    this.credits = new Credits(limits.window());
    this.reader =
        Thread.ofPlatform()
            .daemon()
            .name("lorikeet-link-" + group.name(member))
            .unstarted(this::read);
  }

  private static ByteBuffer direct(int bytes) {
    return ByteBuffer.allocateDirect(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Begins to read. */
  void start() {
    heard = System.nanoTime();
    reader.start();
  }

  @Override
  public void send(int kind, MemorySegment... parts) {
    int bytes = Group.bytes(limits, parts);
    credits.take();
    try {
      write(kind, bytes, parts);
    } catch (IOException e) {
      fail(e);
      credits.take(); // throws
    }
  }

  private void write(int kind, int bytes, MemorySegment... parts) throws IOException {
    writing.lock();
    try {
      ByteBuffer[] all = new ByteBuffer[parts.length + 1];
      all[0] = header.clear().putInt(kind).putInt(bytes).flip();
      for (int i = 0; i < parts.length; i++) {
        all[i + 1] = parts[i].asByteBuffer();
      }
      long left = HEADER_BYTES + (long) bytes;
      while (left > 0) {
        left -= channel.write(all);
      }
      said = System.nanoTime();
    } finally {
      writing.unlock();
    }
  }

  private void fail(IOException e) {
    if (!ended) {
      group.left(member, Optional.of("the connection broke: " + e.getMessage()));
    }
  }

  private void read() {
    ByteBuffer head = direct(HEADER_BYTES);
    try {
      boolean more = true;
      while (more) {
        fill(head.clear());
        head.flip();
        more = take(head.getInt(), head.getInt());
      }
    } catch (EOFException e) {
      if (!ended) {
        group.left(member, Optional.of("ended without a word"));
      }
    } catch (IOException e) {
      fail(e);
    } finally {
      close();
      group.silent(member);
    }
  }

  private boolean take(int kind, int bytes) throws IOException {
    if (bytes < 0 || bytes > (kind < 0 ? MOST_OWN_BYTES : limits.messageBytes())) {
      throw new IOException(
          "expected a message of at most " + limits.messageBytes() + " bytes, found " + bytes);
    }
    if (kind < 0) {
      return takeOwn(kind, bytes);
    }
    if (waiting.incrementAndGet() > limits.window()) {
      throw new IOException("expected at most " + limits.window() + " messages under way");
    }
    MemorySegment piece = bodies.take(bytes);
    MemorySegment body = piece.asSlice(0, bytes);
    fill(body.asByteBuffer());
    group.arrived(new Message(member, kind, body, this::taken, () -> bodies.give(piece)));
    return true;
  }

  private boolean takeOwn(int kind, int bytes) throws IOException {
    ByteBuffer body = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    fill(body);
    body.flip();
    switch (kind) {
      case ALIVE -> {}
      case CREDIT -> {
        int count = bytes == Integer.BYTES ? body.getInt() : -1;
        if (count < 1 || count > limits.window()) {
          throw new IOException("expected 1 to " + limits.window() + " credits, found " + count);
        }
        credits.give(count);
      }
      case END -> {
        String reason = UTF_8.decode(body).toString();
        group.left(member, reason.isEmpty() ? Optional.empty() : Optional.of(reason));
        return false;
      }
      default -> throw new IOException("expected a kind of message, found " + kind);
    }
    return true;
  }

  private void fill(ByteBuffer to) throws IOException {
    while (to.hasRemaining()) {
      if (channel.read(to) < 0) {
        throw new EOFException();
      }
      heard = System.nanoTime();
    }
  }

  /** A message left the inbox: the other side may send another, and is told of several at once. */
  private void taken() {
    waiting.decrementAndGet();
    if (toCredit.incrementAndGet() >= limits.window() / 2) {
      int count = toCredit.getAndSet(0);
      if (count > 0) {
        ByteBuffer body =
            ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN).putInt(count);
        try {
          write(CREDIT, Integer.BYTES, MemorySegment.ofBuffer(body.flip()));
        } catch (IOException e) {
          fail(e);
        }
      }
    }
  }

  @Override
  public void tend() {
    long now = System.nanoTime();
    if (now - heard > limits.silence().toNanos()) {
      group.left(
          member, Optional.of("said nothing for " + limits.silence().toMillis() / 1e3 + " s"));
      close();
    } else if (!ended && now - said > limits.heartbeat().toNanos() && writing.tryLock()) {
      try {
        write(ALIVE, 0);
      } catch (IOException e) {
        fail(e);
      } finally {
        writing.unlock();
      }
    }
  }

  @Override
  public void end(LorikeetException reason, Optional<String> told) {
    ended = true;
    credits.end(reason);
    byte[] utf8 = told.orElse("").getBytes(UTF_8);
    int bytes = Math.min(utf8.length, MOST_OWN_BYTES);
    try {
      // Who does not get to write since a message is stuck closes the channel, which frees it.
      if (writing.tryLock(limits.heartbeat().toMillis(), TimeUnit.MILLISECONDS)) {
        try {
          write(END, bytes, MemorySegment.ofArray(utf8).asSlice(0, bytes));
          channel.shutdownOutput();
        } finally {
          writing.unlock();
        }
      } else {
        close();
      }
    } catch (IOException e) {
      close();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      close();
    }
  }

  @Override
  public void awaitEnd() {
    if (!Thread.currentThread().equals(reader)) {
      try {
        reader.join(limits.silence());
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
      close();
    }
  }

  private void close() {
    try {
      channel.close();
    } catch (IOException e) {
      ended = true; // it can't be used any more, which is all that was wanted
    }
  }
}
