package dev.lorikeet.plugin;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class OptionsTest {
  private static final String OWNER = "router plugin 'nearest'";

  /** What an option may choose. */
  private enum Colour {
    RED,
    DARK_BLUE,
    GREEN
  }

  private static Options of(String key, String value) {
    return Options.of(OWNER, Map.of(key, value), key);
  }

  private static Options empty() {
    return Options.of(OWNER, Map.of(), "key");
  }

  private static String message(Runnable action) {
    return String.valueOf(assertThrows(IllegalArgumentException.class, action::run).getMessage());
  }

  private static void assertRefused(String value, String expected, Consumer<Options> reading) {
    assertEquals(
        OWNER + ": option 'key': expected " + expected + ", found '" + value + "'",
        message(() -> reading.accept(of("key", value))));
  }

  @Test
  void anUnknownKeyIsRefusedByName() {
    assertEquals(
        OWNER + ": unknown option 'colour'; known are [adapters, when.*]",
        message(
            () ->
                Options.of(OWNER, Map.of("colour", "red", "adapters", "a"), "when.*", "adapters")));
    assertEquals(
        OWNER + ": unknown option 'Key'; known are [key]",
        message(() -> Options.of(OWNER, Map.of("Key", ""), "key")));
    assertEquals(
        OWNER + ": unknown option 'key'; known are []",
        message(() -> Options.none(OWNER, Map.of("key", "value"))));
    Options.none(OWNER, Map.of());
  }

  @Test
  void aPrefixStandsForLongerKeysAlone() {
    Map<String, String> given = Map.of("rule.2.use", "b", "rule.1.use", "a", "rules", "x");
    Options options = Options.of(OWNER, given, "rule.*", "rules");
    assertEquals(List.of("1.use", "2.use"), List.copyOf(options.below("rule.").keySet()));
    assertEquals(Map.of("1.use", "a", "2.use", "b"), options.below("rule."));
    assertTrue(options.below("when.").isEmpty());
    for (String key : List.of("rule.", "rule", "Rule.1")) {
      String message = message(() -> Options.of(OWNER, Map.of(key, "a"), "rule.*"));
      assertTrue(message.contains("unknown option '" + key + "'"), message);
    }
  }

  @Test
  void laterChangesOfTheMapDoNotMatter() {
    Map<String, String> given = new HashMap<>(Map.of("key", "1"));
    Options options = Options.of(OWNER, given, "key");
    given.put("key", "2");
    assertEquals("1", options.required("key"));
    assertThrows(UnsupportedOperationException.class, () -> options.below("k").put("a", "b"));
  }

  @Test
  void whatIsNotGivenIsTheDefault() {
    Options options = empty();
    assertFalse(options.has("key"));
    assertEquals("x", options.text("key", "x"));
    assertTrue(options.flag("key", true));
    assertFalse(options.flag("key", false));
    assertEquals(7, options.number("key", 7, 1, 9));
    assertEquals(1L << 40, options.number("key", 1L << 40, 0, Long.MAX_VALUE));
    assertEquals(0.5, options.decimal("key", 0.5, 0, 1));
    assertEquals(Colour.GREEN, options.choice("key", Colour.GREEN));
  }

  @Test
  void whatIsGivenCounts() {
    assertTrue(of("key", "").has("key"));
    assertEquals(" a b ", of("key", " a b ").text("key", "x"));
    assertEquals("value", of("key", "value").required("key"));
    assertEquals(Path.of("a", "b"), of("key", Path.of("a", "b").toString()).path("key"));
    assertTrue(of("key", "true").flag("key", false));
    assertFalse(of("key", "false").flag("key", true));
    assertEquals(1, of("key", "1").number("key", 7, 1, 9));
    assertEquals(9, of("key", "9").number("key", 7, 1, 9));
    assertEquals(-3, of("key", "-3").number("key", 7, -3, 9));
    assertEquals(
        Long.MIN_VALUE,
        of("key", "" + Long.MIN_VALUE).number("key", 0, Long.MIN_VALUE, Long.MAX_VALUE));
    assertEquals(0.25, of("key", ".25").decimal("key", 7, 0, 1));
    assertEquals(-1.5e-3, of("key", "-1.5E-3").decimal("key", 7, -1, 1));
    assertEquals(Colour.DARK_BLUE, of("key", "dark-blue").choice("key", Colour.RED));
    assertEquals(List.of("a", "b c", "d"), of("key", "a, b c ,d").names("key"));
    assertEquals(List.of("a"), of("key", "a").names("key"));
  }

  @Test
  void aRequiredValueThatIsMissingIsToldAsSuch() {
    String start = OWNER + ": option 'key': expected ";
    assertEquals(start + "a value, found none", message(() -> empty().required("key")));
    assertEquals(start + "a path, found none", message(() -> empty().path("key")));
    assertEquals(
        start + "names separated by commas, found none", message(() -> empty().names("key")));
    assertRefused(" ", "a value", options -> options.required("key"));
    assertRefused("", "a path", options -> options.path("key"));
    assertRefused("a\0b", "a path", options -> options.path("key"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "0", "10", "1.0", " 5", "5 ", "five", "99999999999999999999", "0x5"})
  void numbersAreStrict(String value) {
    assertRefused(value, "a whole number from 1 to 9", o -> o.number("key", 5, 1, 9));
    assertRefused(value, "a whole number from 1 to 9", o -> o.number("key", 5L, 1L, 9L));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "-0.1", "1.1", " 1", "1f", "NaN", "Infinity", "0x1p0", "1e", ".", "1e999"})
  void decimalsAreStrict(String value) {
    assertRefused(value, "a number from 0.0 to 1.0", o -> o.decimal("key", 0.5, 0, 1));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "TRUE", "yes", "1", "true "})
  void flagsAreStrict(String value) {
    assertRefused(value, "true or false", options -> options.flag("key", true));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "Red", "dark_blue", "DARK_BLUE", "red ", "blue"})
  void choicesAreStrict(String value) {
    assertRefused(
        value, "one of red, dark-blue, green", options -> options.choice("key", Colour.RED));
  }

  @Test
  void aChoiceCanBeNarrowed() {
    EnumSet<Colour> allowed = EnumSet.of(Colour.GREEN, Colour.RED);
    assertEquals(Colour.GREEN, of("key", "green").choice("key", Colour.RED, allowed));
    assertRefused(
        "dark-blue", "one of red, green", options -> options.choice("key", Colour.RED, allowed));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", " ", ",", "a,", ",a", "a,,b", "a, ,b"})
  void noNameIsEmpty(String value) {
    assertRefused(value, "names separated by commas", options -> options.names("key"));
  }

  @Test
  void aProviderRefusesInTheSameWords() {
    assertEquals(
        OWNER + ": option 'key': expected a power of two, found '3'",
        message(
            () -> {
              throw of("key", "3").refusal("key", "a power of two");
            }));
  }
}
