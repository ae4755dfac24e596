package dev.lorikeet.jlama.hub;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * What the hub says that a file hashes to.
 *
 * @param kind over what, and how
 * @param hex the value, in lower-case hexadecimal digits
 */
record Checksum(Kind kind, String hex) {
  private static final Pattern DIGITS = Pattern.compile("[0-9a-fA-F]+");

  /** The two ways in which the hub keeps files. */
  enum Kind {
    /** Large files: SHA-256 of their bytes. */
    SHA_256("SHA-256", 64),
    /** Files in Git itself: SHA-1 of a blob's header and their bytes. */
    GIT_SHA_1("SHA-1", 40);

    private final String algorithm;
    private final int digits;

    Kind(String algorithm, int digits) {
      this.algorithm = algorithm;
      this.digits = digits;
    }
  }

  /** Returns the checksum that a text writes down, if it does. */
  static Optional<Checksum> of(Kind kind, String text) {
    return text.length() == kind.digits && DIGITS.matcher(text).matches()
        ? Optional.of(new Checksum(kind, text.toLowerCase(Locale.ROOT)))
        : Optional.empty();
  }

  /** Begins to hash a file of so many bytes. */
  MessageDigest begin(long size) {
    try {
      MessageDigest digest = MessageDigest.getInstance(kind.algorithm);
      if (kind == Kind.GIT_SHA_1) {
        digest.update(("blob " + size + "\0").getBytes(US_ASCII));
      }
      return digest;
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e); // every Java platform has both
    }
  }

  /** Ends a hash and returns it as text. */
  static String end(MessageDigest digest) {
    return HexFormat.of().formatHex(digest.digest());
  }

  @Override
  public String toString() {
    return kind.algorithm + " " + hex;
  }
}
