package dev.lorikeet.cluster;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.ByteOrder;
import java.nio.channels.SocketChannel;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.Arrays;

/**
 * The beginning of a connection: both sides prove that they know the secret, and then say a few
 * words, of bounded length, about who they are. Nothing is read without a limit of length and time.
 */
final class Greeting {
  /*
   * Both send MAGIC and a challenge of 32 random bytes; the one that connected sends
   * HMAC(secret, "joins" + challenge + own challenge), the other checks it and answers with
   * HMAC(secret, "accepts" + challenge + own challenge). The roles keep a proof from being sent back to where it came
   * from, the challenges from being used twice. What follows is neither signed nor encrypted: between machines, the
   * network has to be trusted, or a tunnel used.
   */
  private static final byte[] MAGIC =
      ("LORIKEET 1 " + (ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN ? "LE" : "BE") + "\n")
          .getBytes(UTF_8);

  private static final int CHALLENGE_BYTES = 32;
  private static final int MOST_WORDS = 1 << 16;

  private static final SecureRandom RANDOM = new SecureRandom();

  private final Socket socket;
  private final String other;

  private Greeting(SocketChannel channel, String other, int timeoutMillis) throws IOException {
    this.socket = channel.socket();
    this.other = other;
    socket.setSoTimeout(Math.max(1, timeoutMillis));
    socket.setTcpNoDelay(true);
  }

  /** Greets as the one that connected. */
  static Greeting join(SocketChannel channel, Secret secret, int timeoutMillis) throws IOException {
    Greeting greeting = new Greeting(channel, address(channel), timeoutMillis);
    byte[] own = challenge();
    byte[] challenge = greeting.exchange(own);
    greeting.write(secret.proof("joins", challenge, own));
    greeting.check(secret.proof("accepts", own, challenge));
    return greeting;
  }

  /** Greets as the one that was connected to. */
  static Greeting accept(SocketChannel channel, Secret secret, int timeoutMillis)
      throws IOException {
    Greeting greeting = new Greeting(channel, address(channel), timeoutMillis);
    byte[] own = challenge();
    byte[] challenge = greeting.exchange(own);
    greeting.check(secret.proof("joins", own, challenge));
    greeting.write(secret.proof("accepts", challenge, own));
    return greeting;
  }

  static String address(SocketChannel channel) throws IOException {
    return text((InetSocketAddress) channel.getRemoteAddress());
  }

  static String text(InetSocketAddress address) {
    return address.getHostString() + ":" + address.getPort();
  }

  private static byte[] challenge() {
    byte[] bytes = new byte[CHALLENGE_BYTES];
    RANDOM.nextBytes(bytes);
    return bytes;
  }

  private byte[] exchange(byte[] own) throws IOException {
    write(MAGIC);
    write(own);
    byte[] magic = read(MAGIC.length);
    if (!Arrays.equals(magic, MAGIC)) {
      throw failed("expected a member of a group, of this version and byte order, found another");
    }
    return read(CHALLENGE_BYTES);
  }

  private void check(byte[] proof) throws IOException {
    if (!MessageDigest.isEqual(read(Secret.PROOF_BYTES), proof)) {
      throw failed("expected the secret of this group, found another");
    }
  }

  /** Says who this is. */
  void say(byte[] words) throws IOException {
    byte[] length = new byte[Integer.BYTES];
    for (int i = 0; i < length.length; i++) {
      length[i] = (byte) (words.length >> Byte.SIZE * i);
    }
    write(length);
    write(words);
  }

  /** Hears who the other is. */
  Unpacker hear() throws IOException {
    byte[] length = read(Integer.BYTES);
    int count = 0;
    for (int i = 0; i < length.length; i++) {
      count |= (length[i] & 0xff) << Byte.SIZE * i;
    }
    if (count < 0 || count > MOST_WORDS) {
      throw failed("expected at most " + MOST_WORDS + " bytes, found " + count);
    }
    return new Unpacker(other, read(count));
  }

  private void write(byte[] bytes) throws IOException {
    OutputStream out = socket.getOutputStream();
    out.write(bytes);
  }

  private byte[] read(int count) throws IOException {
    byte[] bytes = new byte[count];
    try {
      new DataInputStream(socket.getInputStream()).readFully(bytes);
    } catch (SocketTimeoutException e) {
      throw failed("said nothing for " + socket.getSoTimeout() + " ms");
    } catch (EOFException e) {
      throw failed("ended the connection before it was a member: another secret?");
    }
    return bytes;
  }

  /** Returns how to name the other side. */
  String other() {
    return other;
  }

  private LorikeetException failed(String reason) {
    return new LorikeetException(Code.MEMBER_LOST, other + ": " + reason);
  }

  /** Sets how long to wait for words of the other side. */
  void timeout(long millis) throws IOException {
    socket.setSoTimeout(Math.clamp(millis, 1, Integer.MAX_VALUE));
  }
}
