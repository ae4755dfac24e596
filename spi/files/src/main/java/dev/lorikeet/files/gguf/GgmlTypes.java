package dev.lorikeet.files.gguf;

import dev.lorikeet.files.safetensors.StoredType;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeSet;

/** The numbers that GGUF files have for types of elements. */
final class GgmlTypes {
  private static final Map<Integer, StoredType> READ =
      Map.of(
          0, StoredType.F32,
          1, StoredType.F16,
          2, StoredType.Q4_0,
          6, StoredType.Q5_0,
          8, StoredType.Q8_0,
          12, StoredType.Q4_K,
          13, StoredType.Q5_K,
          14, StoredType.Q6_K,
          30, StoredType.BF16);

  private static final Map<Integer, String> OTHERS =
      Map.ofEntries(
          Map.entry(3, "Q4_1"),
          Map.entry(7, "Q5_1"),
          Map.entry(9, "Q8_1"),
          Map.entry(10, "Q2_K"),
          Map.entry(11, "Q3_K"),
          Map.entry(15, "Q8_K"),
          Map.entry(16, "IQ2_XXS"),
          Map.entry(17, "IQ2_XS"),
          Map.entry(18, "IQ3_XXS"),
          Map.entry(19, "IQ1_S"),
          Map.entry(20, "IQ4_NL"),
          Map.entry(21, "IQ3_S"),
          Map.entry(22, "IQ2_S"),
          Map.entry(23, "IQ4_XS"),
          Map.entry(24, "I8"),
          Map.entry(25, "I16"),
          Map.entry(26, "I32"),
          Map.entry(27, "I64"),
          Map.entry(28, "F64"),
          Map.entry(29, "IQ1_M"),
          Map.entry(34, "TQ1_0"),
          Map.entry(35, "TQ2_0"),
          Map.entry(39, "MXFP4"));

  private GgmlTypes() {}

  /** Returns the type of a number, if it is one that is read. */
  static Optional<StoredType> of(int number) {
    return Optional.ofNullable(READ.get(number));
  }

  /** Returns the number of a type, if GGUF files have it. */
  static OptionalInt number(StoredType type) {
    return READ.entrySet().stream()
        .filter(entry -> entry.getValue() == type)
        .mapToInt(Map.Entry::getKey)
        .findFirst();
  }

  /** Returns what people call the type of a number. */
  static String name(int number) {
    return of(number)
        .map(StoredType::name)
        .orElseGet(() -> OTHERS.getOrDefault(number, "type " + Integer.toUnsignedString(number)));
  }

  /** Returns the names of the types that are read. */
  static List<String> names() {
    return List.copyOf(new TreeSet<>(READ.values().stream().map(StoredType::name).toList()));
  }
}
