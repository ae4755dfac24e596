package dev.lorikeet.arrow;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Random;
import java.util.regex.Pattern;
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

  @Test
  void randomPatternsMatchWhatTheJdkMatches() throws ModulePattern.Unusable {
    long seed = new Random().nextLong();
    System.out.println("randomPatternsMatchWhatTheJdkMatches seed " + seed);
    var random = new Random(seed);
    int matched = 0;
    for (int i = 0; i < 4000; i++) {
      String pattern = pattern(random, 3);
      ModulePattern own = ModulePattern.parse(pattern);
      Pattern jdk = Pattern.compile(pattern);
      for (int t = 0; t < 6; t++) {
        StringBuilder text = new StringBuilder();
        for (int c = random.nextInt(7); c > 0; c--) {
          text.append("ab.1_".charAt(random.nextInt(5)));
        }
        boolean expected = jdk.matcher(text).matches();
        assertEquals(expected, own.matches(text.toString()), () -> pattern + " on " + text);
        matched += expected ? 1 : 0;
      }
    }
    assertTrue(matched > 500);
  }

  private static String pattern(Random random, int depth) {
    StringBuilder pattern = new StringBuilder();
    for (int part = random.nextInt(3); part >= 0; part--) {
      String single =
          switch (random.nextInt(depth == 0 ? 8 : 12)) {
            case 0 -> "a";
            case 1 -> "b";
            case 2 -> ".";
            case 3 -> "\\.";
            case 4 -> "[ab]";
            case 5 -> "[^a.]";
            case 6 -> "\\d";
            case 7 -> "\\w";
            case 8 -> "(" + pattern(random, depth - 1) + "|" + pattern(random, depth - 1) + ")";
            case 9 -> "(?:" + pattern(random, depth - 1) + ")";
            case 10 -> "(?=" + pattern(random, depth - 1) + ")";
            default -> "(?!" + pattern(random, depth - 1) + ")";
          };
      boolean repeatable = !single.startsWith("(?=") && !single.startsWith("(?!");
      pattern.append(single);
      if (repeatable) {
        pattern.append(
            List.of("", "", "", "*", "+", "?", "{2}", "{1,2}", "{0,}", "*?")
                .get(random.nextInt(10)));
      }
    }
    return pattern.toString();
  }
}
