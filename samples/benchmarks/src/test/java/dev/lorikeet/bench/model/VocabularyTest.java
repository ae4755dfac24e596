package dev.lorikeet.bench.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

class VocabularyTest {
  private final Vocabulary vocabulary = new Vocabulary(49_152, 1, 2);

  @Test
  void textAndIdsAreTheSameThing() {
    List<Integer> prompt = vocabulary.prompt(5, 300);
    assertEquals(prompt, vocabulary.ids(vocabulary.text(prompt)));
    assertEquals(300, prompt.size());
    assertTrue(prompt.stream().noneMatch(vocabulary::isSpecial));
    assertNotEquals(prompt, vocabulary.prompt(6, 300));
  }

  @Test
  void textOfOthersIsMarked() {
    assertEquals(List.of(-1, -1), vocabulary.ids("ab"));
  }
}
