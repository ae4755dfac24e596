package dev.lorikeet.bench.serve;

import java.util.List;

/**
 * How far a contender generates what Lorikeet generates, greedily from the same prompts. Rounding
 * decides where two logits are close, and after one different token all others differ: so the first
 * tokens tell that the function is the same, and the common beginnings how close its rounding is.
 *
 * @param contender who is compared with Lorikeet
 * @param adapters with what adapters
 * @param sequences number of prompts
 * @param sameFirst how many of them have the same first token
 * @param commonTokens length of the common beginning of each
 * @param tokens how many tokens were generated for each
 * @param same whether this is the same function: most first tokens are the same
 */
record Agreement(
    String contender,
    String adapters,
    int sequences,
    int sameFirst,
    List<Integer> commonTokens,
    int tokens,
    boolean same) {
  static Agreement of(
      String contender, String adapters, List<List<Integer>> expected, List<List<Integer>> found) {
    List<Integer> common =
        java.util.stream.IntStream.range(0, expected.size())
            .mapToObj(i -> common(expected.get(i), found.get(i)))
            .toList();
    int first = (int) common.stream().filter(length -> length > 0).count();
    return new Agreement(
        contender,
        adapters,
        expected.size(),
        first,
        common,
        expected.getFirst().size(),
        4 * first >= 3 * expected.size());
  }

  private static int common(List<Integer> a, List<Integer> b) {
    int length = 0;
    while (length < Math.min(a.size(), b.size()) && a.get(length).equals(b.get(length))) {
      length++;
    }
    return length;
  }
}
