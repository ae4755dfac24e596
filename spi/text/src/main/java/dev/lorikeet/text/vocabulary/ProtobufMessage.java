package dev.lorikeet.text.vocabulary;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.Faults;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/**
 * A protobuf message, read field by field: {@link #next} stands at each in turn, what nobody asks
 * for is passed over. Facts of the wire format: protobuf.dev/programming-guides/encoding.
 */
final class ProtobufMessage {
  private static final int VARINT = 0;
  private static final int FIXED_64 = 1;
  private static final int BYTES = 2;
  private static final int FIXED_32 = 5;

  private final String where;
  private final ByteBuffer bytes;
  private int field;
  private int form;
  private long number;
  private ByteBuffer content;

  ProtobufMessage(String where, ByteBuffer bytes) {
    this.where = where;
    this.bytes = bytes.slice().order(ByteOrder.LITTLE_ENDIAN);
    this.content = this.bytes;
  }

  /** Goes to the next field and returns whether there is one. */
  boolean next() {
    if (!bytes.hasRemaining()) {
      return false;
    }
    long key = varint();
    field = (int) (key >>> 3);
    form = (int) key & 7;
    switch (form) {
      case VARINT -> number = varint();
      case FIXED_64 -> number = need(Long.BYTES).getLong();
      case FIXED_32 -> number = need(Integer.BYTES).getInt();
      case BYTES -> {
        long length = varint();
        if (length < 0 || length > bytes.remaining()) {
          throw damaged(Long.toUnsignedString(length) + " bytes of field " + field);
        }
        content = bytes.slice(bytes.position(), (int) length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.position(bytes.position() + (int) length);
      }
      default -> throw damaged("form " + form + " of field " + field);
    }
    return true;
  }

  private long varint() {
    long value = 0;
    for (int shift = 0; shift < Long.SIZE; shift += 7) {
      byte next = need(1).get();
      value |= (next & 127L) << shift;
      if (next >= 0) {
        return value;
      }
    }
    throw damaged("a number of more than 64 bits");
  }

  private ByteBuffer need(int count) {
    if (bytes.remaining() < count) {
      throw damaged("the end, truncated");
    }
    return bytes;
  }

  private LorikeetException damaged(String found) {
    return Faults.MODEL.invalid(where, "a SentencePiece model (protobuf)", found);
  }

  /** Returns the number of the field. */
  int field() {
    return field;
  }

  /** Returns the field as a whole number. */
  long integer() {
    expect(VARINT);
    return number;
  }

  /** Returns the field as a truth value. */
  boolean bool() {
    return integer() != 0;
  }

  /** Returns the field as a float32. */
  float decimal() {
    expect(FIXED_32);
    return Float.intBitsToFloat((int) number);
  }

  /** Returns the field as a message. */
  ProtobufMessage message() {
    expect(BYTES);
    return new ProtobufMessage(where, content);
  }

  /** Returns the bytes of the field. */
  byte[] octets() {
    expect(BYTES);
    byte[] octets = new byte[content.remaining()];
    content.get(0, octets);
    return octets;
  }

  /** Returns the field as a text. */
  String text() {
    expect(BYTES);
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(content.duplicate()).toString();
    } catch (CharacterCodingException e) {
      throw Faults.MODEL.invalid(
          where + ": field " + field, "UTF-8", "a malformed sequence of bytes", e);
    }
  }

  private void expect(int expected) {
    if (form != expected) {
      throw damaged("field " + field + " in another form");
    }
  }
}
