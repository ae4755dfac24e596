package dev.lorikeet.model;

/**
 * One generated token.
 *
 * @param index its number in this generation, from 0
 * @param id the token id
 * @param text the text that became certain with this token: empty while a character or a possible
 *     stop string is incomplete; what is held back at the end comes with the last token
 * @param logProbability the natural logarithm of the token's probability under the model, before
 *     temperature and filters
 */
public record GeneratedToken(int index, int id, String text, float logProbability) {}
