package dev.lorikeet.text;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Map;
import java.util.TreeMap;

/*
 * Builds the double array in the simplest way: every node has a block of 256 units of its own, so
 * that its child for a byte lies at the byte. The unit before carries the way to the next block.
 */

/** Writes the map of a SentencePiece normalizer. */
final class CharacterMaps {
  private static final int BLOCK = 256;

  private int[] units = new int[BLOCK];

  private CharacterMaps() {}

  private static final class Node {
    final Map<Integer, Node> children = new TreeMap<>();
    int value = -1;
  }

  /** Returns a map, in base64, from texts to texts. */
  static String encode(Map<String, String> map) {
    ByteArrayOutputStream texts = new ByteArrayOutputStream();
    Node root = new Node();
    new TreeMap<>(map)
        .forEach(
            (key, value) -> {
              Node node = root;
              for (byte b : key.getBytes(StandardCharsets.UTF_8)) {
                node = node.children.computeIfAbsent(b & 0xFF, label -> new Node());
              }
              node.value = texts.size();
              texts.writeBytes(value.getBytes(StandardCharsets.UTF_8));
              texts.write(0);
            });
    CharacterMaps maps = new CharacterMaps();
    int block = maps.block();
    maps.units[0] = offset(block);
    maps.place(root, block);
    ByteBuffer blob =
        ByteBuffer.allocate(Integer.BYTES * (1 + maps.units.length) + texts.size())
            .order(ByteOrder.LITTLE_ENDIAN)
            .putInt(Integer.BYTES * maps.units.length);
    for (int unit : maps.units) {
      blob.putInt(unit);
    }
    return Base64.getEncoder().encodeToString(blob.put(texts.toByteArray()).array());
  }

  private int block() {
    units = java.util.Arrays.copyOf(units, units.length + BLOCK);
    return units.length - BLOCK;
  }

  private void place(Node node, int base) {
    node.children.forEach(
        (label, child) -> {
          int next = block();
          units[base ^ label] = label | offset(base ^ label ^ next);
          if (child.value >= 0) {
            units[base ^ label] |= 1 << 8;
            units[next] = child.value | Integer.MIN_VALUE;
          }
          place(child, next);
        });
  }

  /** Returns an offset as a unit has it. */
  private static int offset(int places) {
    return places << 10;
  }
}
