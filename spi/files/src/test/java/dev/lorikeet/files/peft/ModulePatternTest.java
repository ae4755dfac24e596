package dev.lorikeet.files.peft;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.BiFunction;
import org.junit.jupiter.api.Test;

class ModulePatternTest {
  private static final String NAME = "model.layers.11.self_attn.q_proj";

  private static boolean matches(String pattern, String text) throws ModulePattern.Unusable {
    return ModulePattern.parse(pattern).matches(text);
  }

  @Test
  void patternsOfRealConfigurationsMatch() throws ModulePattern.Unusable {
    String unsloth =
        "(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|k_proj).*?)"
            + "|(?:\\bmodel\\.layers\\.[\\d]{1,}\\.(?:self_attn|mlp)\\.(?:(?:q_proj|v_proj)))";
    assertTrue(matches(unsloth, NAME));
    assertFalse(matches(unsloth, NAME.replace("q_proj", "o_proj")));
    assertTrue(matches("^(?!.*vision).*(q_proj|v_proj)$", NAME));
    assertFalse(matches("^(?!.*attn).*(q_proj|v_proj)$", NAME));
    assertTrue(matches("(.*\\.)?(q_proj)$", NAME));
    assertTrue(matches("(.*\\.)?(^model\\.layers\\.11\\.self_attn\\.q_proj)$", NAME));
    assertFalse(matches("(.*\\.)?(proj)$", NAME));
    assertTrue(matches("model.layers.(?P<n>1[0-9]|2[^0-3]).*", NAME));
  }

  @Test
  void whatCannotBeMatchedWithoutBacktrackingIsRefused() {
    for (String pattern :
        List.of("(a)\\1", "(?<=a)b", "(?<!a)b", "(?i)a", "a++", "(?>a)", "(?P=n)", "\\p{L}")) {
      var thrown = assertThrows(ModulePattern.Unusable.class, () -> ModulePattern.parse(pattern));
      assertFalse(thrown.isSyntax(), pattern);
    }
    for (String pattern :
        List.of("(a", "a)", "[a", "*a", "a**", "a{3,2}", "\\", "[z-a]", "(?P<n")) {
      var thrown = assertThrows(ModulePattern.Unusable.class, () -> ModulePattern.parse(pattern));
      assertTrue(thrown.isSyntax(), pattern);
    }
  }

  @Test
  void patternsThatExplodeElsewhereEndSoon() throws ModulePattern.Unusable {
    String text = "a".repeat(60);
    assertFalse(matches("(a*)*b", text));
    assertFalse(matches("((a|a)*|(aa|a)+)*b", text));
    assertFalse(matches("(.*)*(.*)*(.*)*(.*)*(.*)*x", text));
    assertFalse(matches("((){9999}){9999}b", text));
    assertTrue(matches("(((((a?){60}){60}){60}){60}){60}", text));
    assertFalse(matches("(a*)*".repeat(800) + "b", text));
    String nested = "(?=.*".repeat(6) + "b" + ")".repeat(6);
    assertThrows(ModulePattern.Unusable.class, () -> matches(nested, text));
    assertThrows(ModulePattern.Unusable.class, () -> matches("((".repeat(2000), text));
  }

  /** A pattern and its meaning: where a match that begins at a position may end. */
  private record Meaning(String pattern, BiFunction<String, Integer, Set<Integer>> ends) {
    Meaning then(Meaning next) {
      return new Meaning(
          pattern + next.pattern,
          (text, start) -> {
            Set<Integer> all = new TreeSet<>();
            ends.apply(text, start).forEach(at -> all.addAll(next.ends.apply(text, at)));
            return all;
          });
    }

    Meaning or(Meaning other) {
      return new Meaning(
          "(" + pattern + "|" + other.pattern + ")",
          (text, start) -> {
            Set<Integer> all = new TreeSet<>(ends.apply(text, start));
            all.addAll(other.ends.apply(text, start));
            return all;
          });
    }

    Meaning times(String suffix, int least, int most) {
      return new Meaning(
          "(?:" + pattern + ")" + suffix,
          (text, start) -> {
            Set<Integer> all = new TreeSet<>();
            Set<Integer> at = Set.of(start);
            for (int i = 0; i <= Math.min(most, least + 10); i++) {
              if (i >= least) {
                all.addAll(at);
              }
              Set<Integer> next = new TreeSet<>();
              at.forEach(from -> next.addAll(ends.apply(text, from)));
              at = next;
            }
            return all;
          });
    }

    Meaning ahead(boolean wanted) {
      return new Meaning(
          (wanted ? "(?=" : "(?!") + pattern + ")",
          (text, start) -> ends.apply(text, start).isEmpty() == wanted ? Set.of() : Set.of(start));
    }

    static Meaning one(String pattern, String characters) {
      return new Meaning(
          pattern,
          (text, start) ->
              start < text.length() && characters.indexOf(text.charAt(start)) >= 0
                  ? Set.of(start + 1)
                  : Set.of());
    }
  }

  @Test
  void randomPatternsMatchWhatTheyMean() throws ModulePattern.Unusable {
    long seed = new Random().nextLong();
    System.out.println("randomPatternsMatchWhatTheyMean seed " + seed);
    var random = new Random(seed);
    int matched = 0;
    for (int i = 0; i < 2000; i++) {
      Meaning meaning = meaning(random, 3);
      ModulePattern pattern = ModulePattern.parse(meaning.pattern());
      for (int t = 0; t < 6; t++) {
        StringBuilder text = new StringBuilder();
        for (int c = random.nextInt(6); c > 0; c--) {
          text.append("ab.1_".charAt(random.nextInt(5)));
        }
        boolean expected = meaning.ends().apply(text.toString(), 0).contains(text.length());
        assertEquals(
            expected, pattern.matches(text.toString()), () -> meaning.pattern() + " on " + text);
        matched += expected ? 1 : 0;
      }
    }
    assertTrue(matched > 500);
  }

  private static Meaning meaning(Random random, int depth) {
    Meaning whole = single(random, depth);
    for (int parts = random.nextInt(3); parts > 0; parts--) {
      whole = whole.then(single(random, depth));
    }
    return whole;
  }

  private static Meaning single(Random random, int depth) {
    int most = Integer.MAX_VALUE;
    return switch (random.nextInt(depth == 0 ? 8 : 17)) {
      case 0 -> Meaning.one("a", "a");
      case 1 -> Meaning.one("b", "b");
      case 2 -> Meaning.one(".", "ab.1_");
      case 3 -> Meaning.one("\\.", ".");
      case 4 -> Meaning.one("[ab]", "ab");
      case 5 -> Meaning.one("[^a.]", "b1_");
      case 6 -> Meaning.one("\\d", "1");
      case 7 -> Meaning.one("\\w", "ab1_");
      case 8, 9 -> meaning(random, depth - 1).or(meaning(random, depth - 1));
      case 10 -> meaning(random, depth - 1).times("*", 0, most);
      case 11 -> meaning(random, depth - 1).times("+?", 1, most);
      case 12 -> meaning(random, depth - 1).times("?", 0, 1);
      case 13 -> meaning(random, depth - 1).times("{2}", 2, 2);
      case 14 -> meaning(random, depth - 1).times("{1,3}", 1, 3);
      case 15 -> meaning(random, depth - 1).ahead(true);
      default -> meaning(random, depth - 1).ahead(false);
    };
  }
}
