package dev.lorikeet.text;

/**
 * What an encoding may cost before it is given up.
 *
 * @param tokens how many tokens are of use; a text that certainly has more is refused early
 * @param checkTime called between pieces of work, on the thread that encodes; throws when there is
 *     no time left
 */
public record EncodingLimit(int tokens, Runnable checkTime) {}
