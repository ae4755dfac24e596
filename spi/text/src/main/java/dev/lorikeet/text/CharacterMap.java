package dev.lorikeet.text;

import com.fasterxml.jackson.databind.node.TextNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.JsonFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.BitSet;

/*
 * SentencePiece keeps the map of its normalizer as one blob: the size of a trie in bytes, the trie,
 * and the texts that characters become, each ended by a zero byte. The trie is a double array: a
 * node is a place, its child for a byte lies at the place xor the byte if the unit there carries
 * that byte as its label, and leads on by its offset; where a unit has a leaf, the value at the
 * place it leads to says where in the texts the result begins.
 *
 * The native library indexes both without a check, and looks up no more than five bytes at once.
 * So the walk here goes over all nodes that five bytes reach, and asks of each that every byte
 * stays inside the trie, and of each value that a character begins there.
 */

/** The {@code precompiled_charsmap} of a normalizer, checked as far as the library follows it. */
final class CharacterMap {
  private static final String KEY = "precompiled_charsmap";

  /** The longest text that is looked up as a whole. */
  private static final int DEEPEST = 5;

  private static final int LONGEST_VALUE = 256;
  private static final int LAST_BYTE = 0xFF;

  private final JsonFile file;
  private final int[] trie;
  private final byte[] texts;
  private double growth = 1;
  private boolean keepsAscii = true;

  private CharacterMap(JsonFile file, int[] trie, byte[] texts) {
    this.file = file;
    this.trie = trie;
    this.texts = texts;
  }

  /**
   * A map that is sound.
   *
   * @param growth how many bytes a byte becomes at most
   * @param keepsAscii whether printable ASCII characters never become a text without any
   */
  record Checked(double growth, boolean keepsAscii) {}

  /** Checks a map. */
  static Checked check(JsonFile file, String base64) {
    ByteBuffer blob = decode(file, base64);
    if (blob.remaining() < Integer.BYTES) {
      throw malformed(file, blob.remaining() + " bytes", "the size of a trie");
    }
    long size = Integer.toUnsignedLong(blob.getInt());
    if (size > blob.remaining() || size % Integer.BYTES != 0 || size == 0) {
      throw malformed(
          file, size + " bytes", "a trie of whole units up to " + blob.remaining() + " bytes");
    }
    int[] trie = new int[(int) size / Integer.BYTES];
    for (int i = 0; i < trie.length; i++) {
      trie[i] = blob.getInt();
    }
    byte[] texts = new byte[blob.remaining()];
    blob.get(texts);
    checkUtf8(file, texts);
    CharacterMap map = new CharacterMap(file, trie, texts);
    map.walk('!', '~', true);
    map.walk(1, '!' - 1, false);
    map.walk('~' + 1, LAST_BYTE, false);
    return new Checked(map.growth, map.keepsAscii);
  }

  private static ByteBuffer decode(JsonFile file, String base64) {
    try {
      return ByteBuffer.wrap(Base64.getDecoder().decode(base64)).order(ByteOrder.LITTLE_ENDIAN);
    } catch (IllegalArgumentException e) {
      throw malformed(file, String.valueOf(e.getMessage()), "base64");
    }
  }

  private static void checkUtf8(JsonFile file, byte[] texts) {
    try {
      StandardCharsets.UTF_8
          .newDecoder()
          .onMalformedInput(CodingErrorAction.REPORT)
          .decode(ByteBuffer.wrap(texts));
    } catch (CharacterCodingException e) {
      throw malformed(file, "other bytes", "texts in UTF-8 behind the trie");
    }
  }

  /** Follows all that begins with a range of bytes. */
  private void walk(int first, int last, boolean ascii) {
    BitSet nodes = new BitSet();
    nodes.set(node(offset(trie[0])));
    for (int depth = 1; depth <= DEEPEST; depth++) {
      BitSet children = new BitSet();
      for (int node = nodes.nextSetBit(0); node >= 0; node = nodes.nextSetBit(node + 1)) {
        int from = depth == 1 ? first : 1;
        int to = depth == 1 ? last : LAST_BYTE;
        for (int label = from; label <= to; label++) {
          int unit = trie[node ^ label];
          if (label(unit) == label) {
            int child = node(node ^ label ^ offset(unit));
            if (hasLeaf(unit)) {
              checkValue(child, depth, ascii);
            }
            children.set(child);
          }
        }
      }
      nodes = children;
    }
  }

  /** Returns a place, any byte's child of which lies in the trie. */
  private int node(int place) {
    if ((place | LAST_BYTE) >= trie.length) {
      throw malformed(file, "a node at " + place, "nodes within " + trie.length + " units");
    }
    return place;
  }

  private void checkValue(int place, int keyBytes, boolean ascii) {
    int start = trie[place] & Integer.MAX_VALUE;
    if (start > texts.length || (start < texts.length && (texts[start] & 0xC0) == 0x80)) {
      throw malformed(
          file, "a text at " + start, "texts that begin within " + texts.length + " bytes");
    }
    int end = start;
    boolean kept = false;
    while (end < texts.length && texts[end] != 0 && end - start <= LONGEST_VALUE) {
      kept |= texts[end] > ' ' && texts[end] < 0x7F;
      end++;
    }
    keepsAscii &= kept || !ascii;
    if (end - start > LONGEST_VALUE) {
      throw malformed(file, "more", "texts of at most " + LONGEST_VALUE + " bytes");
    }
    growth = Math.max(growth, (end - start) / (double) keyBytes);
  }

  private static int offset(int unit) {
    return (unit >>> 10) << ((unit & (1 << 9)) >>> 6);
  }

  private static int label(int unit) {
    return unit & (1 << 31 | LAST_BYTE);
  }

  private static boolean hasLeaf(int unit) {
    return (unit >>> 8 & 1) == 1;
  }

  private static LorikeetException malformed(JsonFile file, String found, String expected) {
    return file.wrong(KEY, TextNode.valueOf(found), expected);
  }
}
