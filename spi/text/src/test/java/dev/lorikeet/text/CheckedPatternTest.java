package dev.lorikeet.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.JsonFile;
import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CheckedPatternTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  private static CheckedPattern check(String regex) {
    ObjectNode component = JSON.createObjectNode();
    component.putObject("pattern").put("Regex", regex);
    try {
      JsonFile file = JsonFile.parse("tokenizer.json", JSON.writeValueAsBytes(component));
      return CheckedPattern.check(file, new Nesting());
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  /** GPT-2; Llama 3; Qwen2; as tiktoken writes it now; o200k; Tekken; DeepSeek-V3. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
            + " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
            + " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}|"
            + " ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
            + "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
            + "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
            + "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|"
            + "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"
            + "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|"
            + "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
            + "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|"
            + "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
      })
  void thoseOfKnownModelsCutAtLetters(String regex) {
    CheckedPattern pattern = check(regex);
    assertTrue(pattern.cutsLetters(), regex);
    assertFalse(pattern.slowOnSpace(), regex);
    assertEquals(1, pattern.fewestBytes());
  }

  /** T5, BLOOM, Falcon, CLIP, DeepSeek-V2 and -Coder, and what the like may have. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        " {2,}",
        " ?[^(\\s|[.,!?…。，、।۔،])]+",
        "[0-9][0-9][0-9]",
        "\\s+",
        "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+",
        "[\\r\\n]",
        "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳ]+",
        "\\s?[!-/:-~！-／：-～‘-‟　-。]+",
        "\\s+$",
        "[一-龥ࠀ-一가-퟿]+",
        "\\p{N}+",
        "\\s+|\\p{L}+|\\d",
        "\\p{Han}{1,4}",
        "(?:[A-Z][a-z]{0,3}|x)y",
        "🙂+",
        "a{2}b?c*"
      })
  void othersOfLinearTimePass(String regex) {
    check(regex);
  }

  @Test
  void whiteSpaceIsLimitedWhereNothingConsumesIt() {
    assertTrue(check("\\s+$").slowOnSpace());
    assertTrue(check("\\s*[\\r\\n]+|a").slowOnSpace());
    assertFalse(check("\\s+|a").slowOnSpace());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "(a*)*b",
        "(a+)+",
        "(a|a|aa)+c",
        "(a|b)*",
        "(a{1,9}){1,9}",
        "a*b",
        "a*",
        "a?",
        "a+b",
        ".*x",
        "a+b+",
        "(?=a)",
        "(?!a)b",
        "(?<=a)b",
        "\\bx",
        "(a)\\1",
        "\\k<a>",
        "\\Ra",
        "(?>a)",
        "(?<n>a)",
        "(?#x)a",
        "(?m:a)",
        "a**",
        "a+*",
        "a{2}{3}",
        "a{5000}",
        "a{3,2}",
        "a{",
        "[a",
        "[]",
        "(a",
        "a)",
        "|a",
        "a|",
        "^",
        "$",
        "\\",
        "\\p{",
        "((((a))))",
        "a?a?a?a?a?a?a?a?aaaaaaaa",
        "(a?b?c?d?e?f?g?h?)x"
      })
  void allElseIsRefused(String regex) {
    var error = assertThrows(LorikeetException.class, () -> check(regex));
    assertEquals(Code.MODEL_UNSUPPORTED, error.code());
    assertTrue(error.getMessage().contains("pattern: Regex: expected"), error.getMessage());
  }
}
