package dev.lorikeet.cluster;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.HexFormat;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * What all members of a group know, and nobody else: each proves to the other that it knows it
 * before anything else is read. It is never sent.
 */
public final class Secret {
  /** The fewest bytes. */
  public static final int LEAST_BYTES = 16;

  /** The length of a proof in bytes. */
  static final int PROOF_BYTES = 32;

  private static final int MOST_BYTES = 4096;
  private static final String MAC = "HmacSHA256";

  private final SecretKeySpec key;

  private Secret(byte[] bytes, String where) {
    if (bytes.length < LEAST_BYTES || bytes.length > MOST_BYTES) {
      throw new LorikeetException(
          Code.INVALID_CONFIG,
          where
              + ": expected a secret of "
              + LEAST_BYTES
              + " to "
              + MOST_BYTES
              + " bytes, found "
              + bytes.length);
    }
    key = new SecretKeySpec(bytes, MAC);
  }

  /**
   * Returns a secret of a text, without white space around it.
   *
   * @param where what gave it, for errors
   * @throws LorikeetException if it is too short
   */
  public static Secret of(String text, String where) {
    return new Secret(text.strip().getBytes(UTF_8), where);
  }

  /**
   * Reads a secret from a file.
   *
   * @throws LorikeetException if it can't be read or is too short
   */
  public static Secret ofFile(Path file) {
    try (InputStream in = Files.newInputStream(file)) {
      return of(new String(in.readNBytes(MOST_BYTES + 1), UTF_8), file.toString());
    } catch (IOException e) {
      throw LorikeetException.ofFiles("secret", e);
    }
  }

  /** Returns the text of a new secret. */
  public static String newText() {
    byte[] bytes = new byte[32];
    new SecureRandom().nextBytes(bytes);
    return HexFormat.of().formatHex(bytes);
  }

  /** Returns the proof of whoever has a role, for two challenges. */
  byte[] proof(String role, byte[] challenge, byte[] own) {
    try {
      Mac mac = Mac.getInstance(MAC);
      mac.init(key);
      mac.update(role.getBytes(UTF_8));
      mac.update(challenge);
      return mac.doFinal(own);
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("every JDK has " + MAC, e);
    }
  }
}
